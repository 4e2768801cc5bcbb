package config

import (
	"strconv"
	"strings"
)

// Path builds a path from keys, any of which may hold dots:
// Path("hosts", "example.com") is `hosts.example\.com`. No keys, the empty
// path, name the whole document.
func Path(keys ...string) string {
	if len(keys) == 1 {
		return escapeKey(keys[0])
	}
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(escapeKey(k))
	}
	return b.String()
}

func escapeKey(k string) string {
	if !strings.ContainsAny(k, `.\`) {
		return k
	}
	return strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(k)
}

// nextKey cuts the first key off a path.
func nextKey(path string) (key, rest string, more bool) {
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '.':
			return path[:i], path[i+1:], true
		case '\\':
			return nextEscaped(path)
		}
	}
	return path, "", false
}

func nextEscaped(path string) (key, rest string, more bool) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '.':
			return b.String(), path[i+1:], true
		case c == '\\' && i+1 < len(path):
			i++
			b.WriteByte(path[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", false
}

// SplitPath returns the keys of a path; none for the empty path.
func SplitPath(path string) []string {
	if path == "" {
		return nil
	}
	var keys []string
	for more := true; more; {
		var k string
		k, path, more = nextKey(path)
		keys = append(keys, k)
	}
	return keys
}

// join appends one key to a path.
func join(path, key string) string {
	if path == "" {
		return escapeKey(key)
	}
	return path + "." + escapeKey(key)
}

func joinIndex(path string, i int) string { return join(path, strconv.Itoa(i)) }
