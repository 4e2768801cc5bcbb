package dbvalue

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodePlain reads an object of strings without escapes, numbers and booleans,
// as EncodeMetadata writes most metadata, several times faster than
// encoding/json. It reports false for anything else, whether right or wrong.
func decodePlain(b []byte) (map[string]any, bool) {
	if string(b) == "{}" {
		return nil, true
	}
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return nil, false
	}
	s := string(b[1 : len(b)-1])
	md := make(map[string]any, 1+bytes.Count(b, []byte{','}))
	for {
		key, rest, ok := plainString(s)
		if !ok || rest == "" || rest[0] != ':' {
			return nil, false
		}
		value, rest, ok := plainValue(rest[1:])
		if !ok {
			return nil, false
		}
		md[key] = value
		if rest == "" {
			return md, true
		}
		if rest[0] != ',' {
			return nil, false
		}
		s = rest[1:]
	}
}

func plainValue(s string) (v any, rest string, ok bool) {
	if s == "" {
		return nil, "", false
	}
	if s[0] == '"' {
		return plainString(s)
	}
	end := strings.IndexByte(s, ',')
	if end < 0 {
		end = len(s)
	}
	word, rest := s[:end], s[end:]
	switch {
	case word == "true":
		return true, rest, true
	case word == "false":
		return false, rest, true
	case len(word) == 0 || len(word) > 18 || strings.Trim(word[1:], "0123456789") != "":
		return nil, "", false // floats too
	case word[0] == '0' && len(word) > 1 || word[0] == '-' && (len(word) == 1 || word[1] == '0'):
		return nil, "", false // no JSON
	}
	n, err := strconv.ParseInt(word, 10, 64)
	return n, rest, err == nil && word[0] != '+'
}

func plainString(s string) (v, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"') + 1
	if end == 0 {
		return "", "", false
	}
	v = s[1:end]
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == '\\' {
			return "", "", false
		}
	}
	return v, s[end+1:], utf8.ValidString(v)
}
