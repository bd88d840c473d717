package guard

import (
	"fmt"
	"strconv"
	"strings"
)

// An Amount is a count of members or a share of them in percent, above zero.
type Amount struct {
	Count   int
	Percent int // 1 to 100; 0 when it is a count
}

// ParseAmount reads "2" or "50%". Zero is refused: the whole pool could go.
func ParseAmount(s string) (Amount, error) {
	digits, share := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil || n < 0:
		return Amount{}, fmt.Errorf("%q: write a count such as 2, or a share such as 50%%", s)
	case n == 0:
		return Amount{}, fmt.Errorf("is %s: the whole pool could go", s)
	case share && n > 100:
		return Amount{}, fmt.Errorf("%q: a share ends at 100%%", s)
	case share:
		return Amount{Percent: n}, nil
	}
	return Amount{Count: n}, nil
}

// Of returns how many of base members the amount is: a share is rounded up, and
// never below one (SAFETY.md I1).
func (a Amount) Of(base int) int {
	if a.Percent == 0 {
		return max(a.Count, 1)
	}
	return max((base*a.Percent+99)/100, 1)
}

// String returns the text that ParseAmount reads.
func (a Amount) String() string {
	if a.Percent > 0 {
		return strconv.Itoa(a.Percent) + "%"
	}
	return strconv.Itoa(a.Count)
}
