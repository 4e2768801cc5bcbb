package consul

import (
	"math/rand/v2"
	"strings"
	"time"
)

// plain are the bytes that stand for themselves, besides letters and digits.
// "/" and "." do not at the start of a path element: Consul's HTTP server would
// drop it.
const plain = "-_~:=@,./"

const hex = "0123456789ABCDEF"

func escaped(c, before byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	case c == '/' || c == '.':
		return before == '/'
	}
	return strings.IndexByte(plain, c) < 0
}

// encode returns the key as Consul takes it. Whether a byte is escaped depends
// on nothing behind it, so what begins with a prefix still does.
func encode(key string) string {
	var b strings.Builder
	before := byte('/')
	for i := range len(key) {
		c := key[i]
		if escaped(c, before) {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
		before = c
	}
	return b.String()
}

// decode reverses encode. It reports false for a key that encode does not make:
// another program's.
func decode(name string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		hi, lo := strings.IndexByte(hex, name[i+1]), strings.IndexByte(hex, name[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), encode(b.String()) == name
}

// An item's flags are 12 bits of a mark, then 44 bits with the end of its life,
// in milliseconds since 1970, and 8 random ones; or, with another mark, no life
// and 52 random bits. Random, because Consul takes a write of what is there
// already for none. Other programs' flags mean no life.
const (
	lifeMark = 0x6b7 << 52
	everMark = 0x6b8 << 52
	markMask = 0xfff << 52
	maxLife  = 100 * 365 * 24 * time.Hour
)

func flagsOf(ttl time.Duration) uint64 {
	if ttl <= 0 {
		return everMark | rand.Uint64()&^markMask
	}
	end := time.Now().Add(min(ttl, maxLife) + time.Millisecond - 1).UnixMilli()
	return lifeMark | uint64(end)<<8&^markMask | uint64(rand.Uint32()&0xff)
}

// endOf returns the end of a life, zero if it has none, and whether that is to
// come.
func endOf(flags uint64) (time.Time, bool) {
	if flags&markMask != lifeMark {
		return time.Time{}, true
	}
	end := time.UnixMilli(int64(flags &^ markMask >> 8))
	return end, time.Now().Before(end)
}
