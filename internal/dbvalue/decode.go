package dbvalue

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodePlain reads an object of strings without escapes, numbers and booleans,
// as EncodeMetadata writes most metadata, several times faster than
// encoding/json. It reports false for anything else, whether right or wrong. What
// it returns shares the memory of s.
func decodePlain(s string) (map[string]any, bool) {
	if s == "{}" {
		return nil, true
	}
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, false
	}
	s = s[1 : len(s)-1]
	md := make(map[string]any, 1+strings.Count(s, ","))
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
	case len(word) == 0 || len(word) > 18:
		return nil, "", false
	case word[0] == '0' && len(word) > 1 || word[0] == '-' && (len(word) == 1 || word[1] == '0') || word[0] == '+':
		return nil, "", false // no JSON
	}
	n, err := strconv.ParseInt(word, 10, 64) // floats are refused
	return n, rest, err == nil
}

func plainString(s string) (v, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	ascii := true
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			v = s[1:i]
			return v, s[i+1:], ascii || utf8.ValidString(v)
		case c < ' ' || c == '\\':
			return "", "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", "", false
}
