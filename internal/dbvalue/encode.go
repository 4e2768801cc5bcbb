package dbvalue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EncodeMetadata returns metadata as JSON that keeps its types: integers have
// no point or exponent, floats have one, a time is {"@time":"…"}. Keys are
// sorted.
func EncodeMetadata(md map[string]any) ([]byte, error) {
	b := make([]byte, 0, 24*len(md)+2)
	b = append(b, '{')
	for i, k := range Keys(md) {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, k)
		b = append(b, ':')
		var err error
		b, err = AppendValue(b, md[k])
		if err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// Keys returns the keys of metadata, sorted.
func Keys(md map[string]any) []string {
	keys := make([]string, 0, len(md))
	for k := range md {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// DecodeMetadata reads what EncodeMetadata wrote. It returns nil for no keys.
func DecodeMetadata(b []byte) (map[string]any, error) { return DecodeText(string(b)) }

// DecodeText is DecodeMetadata of a string, whose memory it keeps.
func DecodeText(s string) (map[string]any, error) {
	if md, ok := decodePlain(s); ok {
		return md, nil
	}
	var raw map[string]any
	if err := DecodeJSON([]byte(s), &raw); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	for k, v := range raw {
		n, err := FromJSON(v)
		if err != nil {
			return nil, fmt.Errorf("metadata %q: %w", k, err)
		}
		raw[k] = n
	}
	return raw, nil
}

// DecodeJSON decodes JSON with its numbers as they are, for FromJSON.
func DecodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

// AppendString appends a JSON string, as encoding/json writes it.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c >= 0x7f {
			j, _ := json.Marshal(s) // a string can't fail
			return append(b, j...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// AppendValue appends a normal value, or nil, as JSON.
func AppendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return AppendString(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		n := len(b)
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
		if !bytes.ContainsAny(b[n:], ".e") {
			b = append(b, ".0"...)
		}
		return b, nil
	case time.Time:
		b = append(b, `{"@time":"`...)
		b = v.AppendFormat(b, time.RFC3339Nano)
		return append(b, `"}`...), nil
	case []string:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, s)
		}
		return append(b, ']'), nil
	}
	return nil, fmt.Errorf("%T is no metadata value", v)
}

// FromJSON returns the normal value that AppendValue wrote.
func FromJSON(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, bool:
		return v, nil
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			if err != nil || math.IsInf(f, 0) {
				return nil, fmt.Errorf("number %s", v)
			}
			return f, nil
		}
		return v.Int64()
	case map[string]any:
		s, ok := v["@time"].(string)
		if !ok || len(v) != 1 {
			return nil, fmt.Errorf("an object")
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		return t.UTC(), err
	case []any:
		l := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("a list with a %T", e)
			}
			l[i] = s
		}
		return l, nil
	}
	return nil, fmt.Errorf("%T", v)
}
