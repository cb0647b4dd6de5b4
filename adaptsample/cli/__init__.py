"""The command `adaptsample`: all argparse is here, and everything above knows no option's name."""
