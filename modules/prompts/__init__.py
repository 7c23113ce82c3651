"""The prompt language. Today: styles. Knows text only. Start reading at `modules.prompts.styles.Styles.apply`."""
