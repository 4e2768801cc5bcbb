package memcached

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/kv"
)

// The envelope in front of a value:
//
//	8 bytes  the name of the write, which is the item's revision
//	8 bytes  the end of its life, in milliseconds since 1970; 0: never
//	2 bytes  n, the length of the key that follows, 0 if the wire key says it
//	n bytes  the key
//
// all big-endian. The item's flags say that there is one.
const (
	sealed     = 0x6b760001
	sealedHead = 18
)

// maxKey is the longest key that memcached takes.
const maxKey = 250

// hashed begins the wire key of a key that is too long. No escaped key begins
// so: what follows a "%" there is hexadecimal.
const hashed = "%h"

// wireKey returns the key as memcached takes it: white space, control
// characters and "%" are escaped; if that is too long, a hash stands for it.
func wireKey(key string) string {
	n := 0
	for i := range len(key) {
		if odd(key[i]) {
			n++
		}
	}
	if n == 0 && len(key) <= maxKey {
		return key
	}
	if len(key)+2*n > maxKey {
		sum := sha256.Sum256([]byte(key))
		return hashed + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; odd(c) {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func odd(c byte) bool { return c <= ' ' || c == 0x7f || c == '%' }

// seal makes the request that stores w under the name rev.
func seal(w kv.Write, rev kv.Revision) *memcached.Op {
	op := &memcached.Op{Verb: memcached.Set, Key: wireKey(w.Key), Flags: sealed}
	inside := ""
	if strings.HasPrefix(op.Key, hashed) {
		inside = w.Key
	}
	v := make([]byte, sealedHead, sealedHead+len(inside)+len(w.Value))
	binary.BigEndian.PutUint64(v, uint64(rev))
	if w.TTL > 0 {
		now := time.Now()
		binary.BigEndian.PutUint64(v[8:], uint64(now.Add(w.TTL+time.Millisecond-1).UnixMilli()))
		op.Exptime = exptime(now, w.TTL)
		if op.Exptime == math.MaxInt32 { // the server will not let it live longer, nor does a life that overflowed above
			binary.BigEndian.PutUint64(v[8:], math.MaxInt32*1000)
		}
	}
	binary.BigEndian.PutUint16(v[16:], uint16(len(inside)))
	v = append(v, inside...)
	op.Value = append(v, w.Value...)
	return op
}

const month = 30 * 24 * time.Hour

// exptime is a life in memcached's way: seconds up to 30 days, a date beyond.
// It is up to two seconds longer than asked for, since the envelope knows the
// end, and 0 would mean no end.
func exptime(now time.Time, ttl time.Duration) int64 {
	seconds := int64(ttl/time.Second) + 2
	if seconds <= int64(month/time.Second) {
		return seconds
	}
	return min(now.Unix()+seconds, math.MaxInt32)
}

// unseal reads an answer, nil if nothing is stored.
func unseal(key string, op *memcached.Op) *found {
	if !op.Done {
		return nil
	}
	f := &found{cas: op.CAS, item: kv.Item{Key: key, Value: op.Value}}
	v := op.Value
	if op.Flags != sealed || len(v) < sealedHead || len(v) < sealedHead+int(binary.BigEndian.Uint16(v[16:])) {
		// Another program's. Its cas number alone could come again.
		h := fnv.New64a()
		h.Write(binary.BigEndian.AppendUint64(nil, op.CAS))
		h.Write(v)
		f.item.Revision = kv.Revision(max(h.Sum64(), 1))
		return f
	}
	n := sealedHead + int(binary.BigEndian.Uint16(v[16:]))
	if n > sealedHead && string(v[sealedHead:n]) != key {
		return nil // two keys with one hash
	}
	f.item.Value = v[n:len(v):len(v)]
	f.item.Revision = kv.Revision(max(binary.BigEndian.Uint64(v), 1))
	if ms := binary.BigEndian.Uint64(v[8:]); ms != 0 {
		f.item.Expires = time.UnixMilli(int64(min(ms, math.MaxInt64)))
		f.dead = !time.Now().Before(f.item.Expires)
	}
	return f
}
