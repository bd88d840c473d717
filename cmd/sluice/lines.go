package main

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineOf returns the line of the value that path leads to, as
// "policies[1].min_serving" does. Where the file has no such value, because it
// is missing, that is the line of the nearest one around it.
func lineOf(root *yaml.Node, path string) int {
	line, _ := follow(root, root.Line, path)
	return line
}

// follow returns the line of the deepest value on the path, and how much of the
// path it could not follow. Names may hold dots, so every key that the path
// goes on with is tried.
func follow(n *yaml.Node, line int, path string) (int, int) {
	path = strings.TrimPrefix(path, ".")
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	best, left := line, len(path)
	if path == "" {
		return best, left
	}
	try := func(child *yaml.Node, at int, rest string) {
		if l, r := follow(child, at, rest); r < left {
			best, left = l, r
		}
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			if key.Tag == "!!merge" {
				try(val, key.Line, path)
				continue
			}
			if rest, ok := strings.CutPrefix(path, key.Value); ok && key.Value != "" && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				try(val, key.Line, rest)
			}
		}
	case yaml.SequenceNode:
		number, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
		i, err := strconv.Atoi(number)
		if ok && err == nil && i >= 0 && i < len(n.Content) {
			entry := n.Content[i]
			try(entry, entry.Line, rest)
		}
	}
	return best, left
}
