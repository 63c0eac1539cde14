"""What is done site by site: watch, find out what is due, recalibrate or retrain, judge, promote or go back."""
