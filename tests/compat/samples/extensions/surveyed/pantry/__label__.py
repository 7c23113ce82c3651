__label__ = "Pantry"
