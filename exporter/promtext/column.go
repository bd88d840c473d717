package promtext

// Rows are the labels of objects that have many series each, as [Labels] makes
// them. Each object is one row, and has one place in every column of its rows.
type Rows struct {
	labels []byte
	rows   []row
	width  int // of the labels of the row that was added last
	expect int // rows
}

// NewRows returns rows of which about so many will come.
func NewRows(expect int) *Rows {
	return &Rows{rows: make([]row, 0, expect), labels: make([]byte, 0, expect*64), expect: expect}
}

// Len is how many rows there are.
func (r *Rows) Len() int { return len(r.rows) }

type row struct {
	end  int // of its labels
	same int // bytes at their beginning that the row before has too, if it is as long; or else -1
}

// Add begins the next row.
func (r *Rows) Add(labels []byte) {
	before := r.last()
	same := -1
	if len(before) == len(labels) && len(r.rows) > 0 {
		same = 0
		for same < len(labels) && before[same] == labels[same] {
			same++
		}
	}
	r.width = len(labels)
	r.labels = append(r.labels, labels...)
	r.rows = append(r.rows, row{len(r.labels), same})
}

func (r *Rows) last() []byte {
	switch n := len(r.rows); n {
	case 0:
		return nil
	case 1:
		return r.labels[:r.rows[0].end]
	default:
		return r.labels[r.rows[n-2].end:r.rows[n-1].end]
	}
}

// A Column has one value for each row, or none: a number as text, or one of a
// set of states, which is a series for each state.
type Column struct {
	family *Family
	rows   *Rows
	tails  [][]byte // of a number one, as in `,code="2xx"} `; of states one for each
	states bool
	// values has what each row has: the digits and a line break, or the place of
	// the state in force, counted from 1, in one byte.
	values []byte
	fixed  int // bytes of each line beside labels and value
	size   int // of the text that will come of it
}

// Numbers begins a column of numbers. more are labels that follow the row's, as
// [Labels] makes them; mostly none.
func (f *Family) Numbers(rows *Rows, more string) *Column {
	tail := "} "
	if more != "" {
		tail = "," + more + tail
	}
	c := &Column{family: f, rows: rows, tails: [][]byte{[]byte(tail)}, values: make([]byte, 0, rows.expect*2)} // most have one digit
	c.fixed = len(f.prefix) + len(tail) + len("\n")
	f.columns = append(f.columns, c)
	return c
}

// None stands for no state in [Column.State]: the row has no series.
const None = -2

// NoneOf stands for a state that isn't in the set: all its series are 0.
const NoneOf = -1

// States begins a column of states: the series of a row are 1 for the one in force.
func (f *Family) States(rows *Rows, words []string) *Column {
	c := &Column{family: f, rows: rows, states: true, values: make([]byte, 0, rows.expect)}
	for _, w := range words {
		c.tails = append(c.tails, []byte(","+Labels("state", w)+"} "))
	}
	f.columns = append(f.columns, c)
	return c
}

// Number is the value of the row that was added last; empty for none. It is not
// checked: see [IsNumber].
func (c *Column) Number(digits []byte) {
	c.values = append(append(c.values, digits...), '\n')
	if len(digits) > 0 {
		c.size += c.fixed + c.rows.width + len(digits)
	}
}

// Digit is Number for a single digit.
func (c *Column) Digit(d byte) {
	c.values = append(c.values, d, '\n')
	c.size += c.fixed + c.rows.width + 1
}

// Flag is 1 or 0 for the row that was added last.
func (c *Column) Flag(on bool) {
	if on {
		c.Number(one)
	} else {
		c.Number(zero)
	}
}

var (
	zero = []byte("0")
	one  = []byte("1")
)

// State is the state of the row that was added last, by its place in the set.
func (c *Column) State(place int) {
	if place != None {
		c.size += len(c.tails) * (len(c.family.prefix) + c.rows.width + len("0\n"))
		for _, t := range c.tails {
			c.size += len(t)
		}
	}
	c.values = append(c.values, byte(place+2)) // place is -2 to 15
}

// write writes the column's series, as many as there are rows.
func (c *Column) write(out *output) {
	if c.size == 0 {
		return
	}
	if c.states {
		c.writeStates(out)
		return
	}
	var (
		prefix, tail = c.family.prefix, c.tails[0]
		values       = c.values
		begin        int
		last         = -1 // place in the buffer of the line of the row before
	)
	for _, r := range c.rows.rows {
		labels := c.rows.labels[begin:r.end]
		begin = r.end
		n := 0
		for values[n] != '\n' {
			n++
		}
		if n == 0 {
			values = values[1:]
			last = -1
			continue
		}
		head := len(prefix) + len(labels) + len(tail)
		b, at := out.room(head + n + 1)
		if at == 0 {
			last = -1 // the buffer is another one
		}
		if last >= 0 && r.same >= 0 { // most of the line is as the one before
			out.repeats(at, at-last)
			copy(b[at:at+head], b[last:])
			copy(b[at+len(prefix)+r.same:], labels[r.same:])
		} else {
			out.repeats(at, 0)
			i := at + copy(b[at:], prefix)
			i += copy(b[i:], labels)
			copy(b[i:], tail)
		}
		if n == 1 {
			b[at+head], b[at+head+1] = values[0], '\n'
		} else {
			copy(b[at+head:], values[:n+1])
		}
		values = values[n+1:]
		last = at
	}
}

// writeStates does the same for states. The series of a row stand together, so
// that they are copied from those of the row before in one piece.
func (c *Column) writeStates(out *output) {
	var (
		prefix = c.family.prefix
		begin  int
		last   = -1
		was    int // state of the row at last
	)
	tails := 0
	for _, t := range c.tails {
		tails += len(t)
	}
	for i, r := range c.rows.rows {
		labels := c.rows.labels[begin:r.end]
		begin = r.end
		state := int(c.values[i]) - 2
		if state == None {
			last = -1
			continue
		}
		size := len(c.tails)*(len(prefix)+len(labels)+len("0\n")) + tails
		b, at := out.room(size)
		if at == 0 {
			last = -1
		}
		if last >= 0 && r.same >= 0 {
			out.repeats(at, size) // as long as the one before
			copy(b[at:at+size], b[last:])
			line := at
			for j, t := range c.tails {
				if r.same < len(labels) {
					copy(b[line+len(prefix)+r.same:], labels[r.same:])
				}
				line += len(prefix) + len(labels) + len(t) + len("0\n")
				if j == was {
					b[line-2] = '0'
				}
				if j == state {
					b[line-2] = '1'
				}
			}
		} else {
			out.repeats(at, 0)
			line := at
			for j, t := range c.tails {
				line += copy(b[line:], prefix)
				line += copy(b[line:], labels)
				line += copy(b[line:], t)
				b[line], b[line+1] = '0', '\n'
				if j == state {
					b[line] = '1'
				}
				line += 2
			}
		}
		last, was = at, state
	}
}
