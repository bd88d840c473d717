package collect

import (
	"strings"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// texts are the fields of a row that become labels of one series. All of them
// are the configuration's own words; what a checked server or an agent said is
// in none. A stats socket of level user leaves addr and algo empty.
// Source: facts 2.1.
type texts struct {
	family *promtext.Family
	fields []int
	begins [][]byte // of each label, up to its value
}

// infoLabels has a better name for some columns.
var infoLabels = map[string]string{"addr": "address", "algo": "balance", "proto": "protocol", "tracked": "tracks"}

func textsOf(from string, f *promtext.Family, field func(string) int) *texts {
	t := &texts{family: f}
	for column := range strings.FieldsSeq(from) {
		label := column
		if better, ok := infoLabels[column]; ok {
			label = better
		}
		t.fields = append(t.fields, field(column))
		t.begins = append(t.begins, []byte(","+label+`="`))
	}
	return t
}

// write writes the series of a row, if there is anything to tell. scratch is
// returned for the next one.
func (t *texts) write(scratch, labels []byte, r *haproxy.Record) []byte {
	tail, known := scratch, false
	for i, at := range t.fields {
		v := r.At(at)
		known = known || len(v) > 0
		tail = append(promtext.AppendEscaped(append(tail, t.begins[i]...), v), '"')
	}
	if known {
		tail = append(tail, "} 1"...)
		t.family.Line(labels, tail)
	}
	return tail
}
