"""What strategies are made of: what they see and answer, scores, selections, features, forgetting."""
