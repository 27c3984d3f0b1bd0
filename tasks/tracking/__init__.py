"""What is recorded in MLflow: runs, metrics, artifacts, models and the champion.

Owns the names under which all of it appears there, and is the only room that imports mlflow. Knows how to read the
files that the other rooms leave; computes nothing itself.
"""
