"""Words for prompts: from lists, and from a language model. Start reading at `enhancing.lists` and `enhancing.writer`."""
