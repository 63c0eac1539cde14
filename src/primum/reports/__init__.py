"""The reports of one finetune run: files, tables, figures, one HTML page, the last words in the terminal."""
