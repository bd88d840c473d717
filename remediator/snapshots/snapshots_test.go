package snapshots

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// I11
func TestAnObjectIsKeptByteForByte(t *testing.T) {
	dir := t.TempDir()
	object := "{\"name\": \"shop\",\n \"odd\":1.0e0}\xff"
	if err := New(dir).Save(edge.Image{Device: "waf1", Pool: "shop-front", Bytes: []byte(object)}); err != nil {
		t.Fatal(err)
	}
	found := files(t, dir)
	if len(found) != 1 || !strings.HasPrefix(found[0], filepath.Join(dir, "waf1", "shop-front")+"/") {
		t.Fatalf("files: %v", found)
	}
	got, err := os.ReadFile(found[0])
	if err != nil || string(got) != object {
		t.Errorf("got %q, %v", got, err)
	}
	if info, err := os.Stat(found[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: want one that others can't read", info.Mode(), err)
	}
}

func TestTheNewestStayAndNothingElseIsTouched(t *testing.T) {
	dir := t.TempDir()
	s := New(dir)
	for i := range Keep + 3 {
		if err := s.Save(edge.Image{Device: "waf1", Pool: "shop", Bytes: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := os.WriteFile(filepath.Join(dir, "waf1", "shop", "notes.json"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	found := files(t, dir)
	if len(found) != Keep+1 {
		t.Fatalf("%d files, want %d and the notes", len(found), Keep)
	}
	oldest, err := os.ReadFile(found[0])
	if err != nil || string(oldest) != "3" {
		t.Errorf("the oldest is %q, %v; want the fourth", oldest, err)
	}
}

// I21
func TestNoNameLeavesItsFolder(t *testing.T) {
	for name, want := range map[string]string{
		"shop":                   "shop",
		"..":                     "%2E.",
		"../../etc/passwd":       "%2E.%2F..%2Fetc%2Fpasswd",
		"":                       "",
		"a b\n":                  "a%20b%0A",
		strings.Repeat("x", 500): strings.Repeat("x", 120) + "-",
	} {
		got := fileName(name)
		if !strings.HasPrefix(got, want) || len(got) > 140 || strings.ContainsAny(got, "/\n") {
			t.Errorf("%.20q becomes %.40q; want %.40q", name, got, want)
		}
	}
	if fileName(strings.Repeat("x", 500)) == fileName(strings.Repeat("x", 501)) {
		t.Error("two long names share a file")
	}
}

// I11
func TestAFolderThatCanNotBeWrittenIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := New(file).Save(edge.Image{Device: "waf1", Pool: "shop"})
	if err == nil || !strings.HasPrefix(err.Error(), "snapshot of waf1/shop: ") {
		t.Errorf("got %v", err)
	}
}
