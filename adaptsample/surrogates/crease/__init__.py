"""Functions with kinks along smooth curves."""

from adaptsample.surrogates.crease.forms import Form as Form
from adaptsample.surrogates.crease.forms import Kind as Kind
from adaptsample.surrogates.crease.problem import Problem as Problem
from adaptsample.surrogates.crease.problem import Structure as Structure
from adaptsample.surrogates.crease.surrogate import Crease as Crease
from adaptsample.surrogates.crease.surrogate import CreaseModel as CreaseModel
