package db

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what a record may hold. That of Data is set by WithMaxBytes.
const (
	maxID    = 128
	maxKeys  = 64
	maxKey   = 64
	maxValue = 1024
	maxList  = 64
	maxType  = 255
)

// normal returns a metadata value in the one type that stands for its kind.
func normal(key string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return v, checkString(key, v)
	case bool:
		return v, nil
	case int:
		return int64(v), nil
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case uint:
		return unsigned(key, uint64(v))
	case uint8:
		return int64(v), nil
	case uint16:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint64:
		return unsigned(key, v)
	case float32:
		return float(key, float64(v))
	case float64:
		return float(key, v)
	case time.Time:
		if y := v.Year(); y < 1 || y > 9999 {
			return nil, invalidf("%q is the time %v, want a year from 1 to 9999", key, v)
		}
		return timestamp(v), nil
	case []string:
		if len(v) > maxList {
			return nil, tooLargef("%q has %d elements, limit %d", key, len(v), maxList)
		}
		l := make([]string, len(v))
		for i, s := range v {
			if err := checkString(key, s); err != nil {
				return nil, err
			}
			l[i] = s
		}
		return l, nil
	}
	return nil, invalidf("%q is a %T, want string, bool, an integer, a float, time.Time or []string", key, v)
}

func unsigned(key string, v uint64) (any, error) {
	if v > math.MaxInt64 {
		return nil, invalidf("%q is %d, more than 64 bits with a sign can hold", key, v)
	}
	return int64(v), nil
}

func float(key string, v float64) (any, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, invalidf("%q is %v", key, v)
	}
	return v + 0, nil // -0 is 0
}

func checkString(key, s string) error {
	if len(s) > maxValue {
		return tooLargef("%q has %d bytes, limit %d", key, len(s), maxValue)
	}
	if !utf8.ValidString(s) {
		return invalidf("%q is not UTF-8", key)
	}
	return nil
}

func checkKey(k string) error {
	switch {
	case k == "":
		return invalidf("empty metadata key")
	case len(k) > maxKey:
		return tooLargef("metadata key has %d bytes, limit %d", len(k), maxKey)
	case strings.HasPrefix(k, "@"):
		return invalidf("metadata key %q begins with '@'", k)
	case !utf8.ValidString(k):
		return invalidf("metadata key %q is not UTF-8", k)
	}
	return nil
}

func checkID(id string) error {
	switch {
	case id == "":
		return invalidf("empty id")
	case len(id) > maxID:
		return tooLargef("id has %d bytes, limit %d", len(id), maxID)
	case !utf8.ValidString(id):
		return invalidf("id %q is not UTF-8", id)
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return invalidf("id %q has a control character", id)
	}
	return nil
}

// normalize checks a record and brings its metadata into normal types.
func (r *Record) normalize(maxBytes int) error {
	if err := checkID(r.ID); err != nil {
		return err
	}
	if len(r.Data) > maxBytes {
		return tooLargef("data has %d bytes, limit %d", len(r.Data), maxBytes)
	}
	if len(r.ContentType) > maxType || !utf8.ValidString(r.ContentType) || strings.ContainsRune(r.ContentType, 0) {
		return invalidf("content type %q", r.ContentType)
	}
	if len(r.Metadata) > maxKeys {
		return tooLargef("metadata has %d keys, limit %d", len(r.Metadata), maxKeys)
	}
	for k, v := range r.Metadata {
		if err := checkKey(k); err != nil {
			return err
		}
		n, err := normal(k, v)
		if err != nil {
			return err
		}
		r.Metadata[k] = n
	}
	return nil
}
