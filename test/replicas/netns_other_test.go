//go:build !linux

package replicas

import "testing"

const binaryEnv = "SLUICE_TEST_BINARY"

// TestAPartition cuts wires: there are no network namespaces here.
func TestAPartition(t *testing.T) { // I9, I16
	t.Log("over wires, because there are no network namespaces")
	partition(t, wires(t))
}

func toCut(t testing.TB) *network { return wires(t) }
