//go:build !(failpoints && linux)

package main

// failpoint is nothing in a program that is released: it has no door to be
// stopped by. Tests of crashes build one that has, with -tags failpoints.
func failpoint() func(string) { return nil }
