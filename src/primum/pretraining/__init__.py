"""What `primum-base` learns from: synthetic patient worlds, their words and the tokenizer. No torch here."""
