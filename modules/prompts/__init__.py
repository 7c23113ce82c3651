"""The prompt language. Weights, chunks, editing, styles. Start reading at `modules.prompts.styles.Styles.apply`."""
