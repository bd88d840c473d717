//go:build !race

package remediator

// simDefault is how many worlds the ordinary tests run.
const simDefault = 2000
