// Package netns makes a second network beside that of this process, with a line
// between the two that can be cut: Linux network namespaces. Nothing of it is on
// the machine's own network, for this process has to be in a namespace of its own
// too: see [Inside].
package netns

import "fmt"

// A Pair are the addresses at both ends of one way over the line. Each way can be
// cut by itself.
type Pair struct{ Near, Far string }

// Pairs returns so many, of a network that is for examples only (RFC 5737).
func Pairs(n int) []Pair {
	var out []Pair
	for i := range n {
		out = append(out, Pair{fmt.Sprintf("198.51.100.%d", 4*i+1), fmt.Sprintf("198.51.100.%d", 4*i+2)})
	}
	return out
}
