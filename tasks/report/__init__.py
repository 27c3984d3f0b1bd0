"""What people read about evaluated models: leaderboard and pictures. Knows no model, only the files they left."""
