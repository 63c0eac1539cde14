"""The MLX backend (Apple silicon; on Linux `mlx[cpu]`, slowly): mlx-lm for base and training, PEFT files on disk."""
