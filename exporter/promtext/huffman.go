package promtext

import (
	"cmp"
	"math/bits"
	"slices"
)

// symbol is a code of Huffman's, with the extra bits that follow it, ready to be sent.
type symbol struct {
	bits uint32
	n    uint8
}

// alphabet is the codes by which a squeezer writes all its blocks, so that no
// block has to be read twice to find the best ones. Its weights are those of
// HAProxy's metrics: what differs from line to line is digits, lines are 70 to
// 110 bytes long, and the states of a server a thousand or two.
type alphabet struct {
	begin     []symbol // a block that isn't the last, and the codes' lengths
	literals  [endOf + 1]symbol
	lengths   [longest + 1]symbol
	distances [30]symbol // without their extra bits
}

const (
	endOf        = 256 // the symbol that ends a block
	lengthCodes  = 29  // symbols 257 to 285
	mostCodeBits = 15
)

// canned is the one that there is.
var canned = newAlphabet()

func newAlphabet() *alphabet {
	weights := make([]int, endOf+1+lengthCodes)
	for s := range weights {
		weights[s] = 1
	}
	for s := '0'; s <= '9'; s++ {
		weights[s] = 100
	}
	for symbol, weight := range map[int]int{273: 20, 274: 20, 275: 30, 276: 40, 277: 250, 278: 500, 279: 100, 280: 40, 281: 10, 282: 10, 283: 10, 284: 10, 285: 20} {
		weights[symbol] = weight
	}
	far := make([]int, 30)
	for s := range far {
		far[s] = 2
	}
	for symbol, weight := range map[int]int{11: 20, 12: 500, 13: 150, 14: 20, 15: 20, 16: 60, 17: 60, 18: 20, 19: 20, 20: 120, 21: 80} {
		far[symbol] = weight
	}
	sizes, farSizes := codeLengths(weights), codeLengths(far)
	a := &alphabet{begin: blockHead(sizes, farSizes)}
	codes := canonical(sizes)
	copy(a.literals[:], codes)
	copy(a.distances[:], canonical(farSizes))
	// Lengths come in groups of 1, 2, 4, ... 32 to a symbol, four symbols of each group
	// and eight of the first; 258 has one of its own. Source: RFC 1951, 3.2.5.
	length := 3
	for s := 257; s < 285; s++ {
		extra := max(0, (s-261)/4)
		for i := range 1 << extra {
			if length < longest {
				c := codes[s]
				a.lengths[length] = symbol{c.bits | uint32(i)<<c.n, c.n + uint8(extra)} //nolint:gosec // at most 31 and 5
				length++
			}
		}
	}
	a.lengths[longest] = codes[285]
	return a
}

// distance is the code of a distance, with its extra bits.
func (a *alphabet) distance(d int) symbol {
	d--
	if d < 4 {
		return a.distances[d]
	}
	extra := bits.Len(uint(d)) - 2                                          //nolint:gosec // 4 to 32767
	c := a.distances[2*extra+d>>extra]                                      // 4 and 5 have one extra bit, 6 and 7 two, ...
	return symbol{c.bits | uint32(d&(1<<extra-1))<<c.n, c.n + uint8(extra)} //nolint:gosec // at most 13 bits
}

// codeLengths gives the more frequent the shorter codes, by Huffman's way: the
// two rarest become one, again and again.
func codeLengths(weights []int) []uint8 {
	type node struct {
		weight int
		leaves []int
	}
	var nodes []node
	for s, w := range weights {
		nodes = append(nodes, node{w, []int{s}})
	}
	lengths := make([]uint8, len(weights))
	for len(nodes) > 1 {
		slices.SortStableFunc(nodes, func(a, b node) int { return cmp.Compare(a.weight, b.weight) })
		both := node{nodes[0].weight + nodes[1].weight, slices.Concat(nodes[0].leaves, nodes[1].leaves)}
		for _, s := range both.leaves {
			lengths[s]++
		}
		nodes = append(nodes[2:], both)
	}
	return lengths
}

// canonical numbers codes as deflate wants them, ready to be sent: RFC 1951, 3.2.2.
func canonical(lengths []uint8) []symbol {
	codes := make([]symbol, len(lengths))
	code := uint16(0)
	for n := uint8(1); n <= mostCodeBits; n++ {
		for s, length := range lengths {
			if length == n {
				codes[s] = symbol{uint32(bits.Reverse16(code) >> (16 - n)), n}
				code++
			}
		}
		code <<= 1
	}
	return codes
}

// blockHead is what stands before a block: RFC 1951, 3.2.7. The lengths of codes
// are written as they are, four bits each: it is written once in a text.
func blockHead(sizes, far []uint8) []symbol {
	head := []symbol{{0b100, 3}, {uint32(len(sizes) - 257), 5}, {uint32(len(far) - 1), 5}, {19 - 4, 4}} //nolint:gosec // 286 and 30
	order := []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	four := make([]uint8, 19)
	for s := range 16 {
		four[s] = 4
	}
	for _, s := range order {
		head = append(head, symbol{uint32(four[s]), 3})
	}
	codes := canonical(four)
	for _, n := range slices.Concat(sizes, far) {
		head = append(head, codes[n])
	}
	return head
}
