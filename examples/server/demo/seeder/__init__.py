"""The tools that seed the demo account; what is planted with them is in the package `account`."""
