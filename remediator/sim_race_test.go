//go:build race

package remediator

// simDefault is how many worlds the ordinary tests run under the race detector.
const simDefault = 60
