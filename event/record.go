package event

import (
	"context"
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Record is one thing that happened. Its fields are those of CloudEvents 1.0,
// plus the two ids that tie the records of one story together.
type Record struct {
	ID       string // unique; Publish gives a UUIDv7 to a record without one
	Type     string // a dotted path, "order.created"; required
	Source   string // who says it; Publish gives WithSource's to a record without one
	RootID   string // the record that the story began with; Publish takes it from the context, else the record's own ID
	ParentID string // the record whose handler published this one; Publish takes it from the context
	Subject  string // what it is about, "order/42"; the usual key for Ordered

	Time        time.Time         // when it happened, to the nanosecond; Publish gives now to a record without one
	Metadata    map[string]string // small strings that travel along, a trace context for instance
	ContentType string            // of Data, "application/json"
	Data        []byte

	// Position is where the stream has the record: opaque, and set on every
	// record that comes out of a stream. Publish ignores it. See After.
	Position string
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() *Record {
	c := *r
	c.Metadata = maps.Clone(r.Metadata)
	c.Data = slices.Clone(r.Data)
	return &c
}

// NewID returns a new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then
// random bits.
func NewID() string { return newID(time.Now()) }

func newID(now time.Time) string {
	a, b := rand.Uint64(), rand.Uint64()
	a = uint64(now.UnixMilli())<<16 | 7<<12 | a&0xfff
	b = b&(1<<62-1) | 1<<63
	var s [36]byte
	binary.BigEndian.PutUint64(s[0:], hex8(a>>32))
	binary.BigEndian.PutUint64(s[9:], hex8(a))
	copy(s[14:18], s[13:17])
	binary.BigEndian.PutUint64(s[19:], hex8(b>>32))
	copy(s[24:28], s[23:27])
	binary.BigEndian.PutUint64(s[28:], hex8(b))
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// hex8 returns the eight digits of the low 32 bits, the first one highest. It
// works on all digits at once.
func hex8(v uint64) uint64 {
	const ones = 0x0101010101010101
	v &= 1<<32 - 1
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & (0x0f * ones)
	letters := (v + 6*ones) >> 4 & ones
	return v + '0'*ones + letters*('a'-'0'-10)
}

// fill gives a record what Publish promises.
func (r *Record) fill(ctx context.Context, source string, now time.Time) {
	r.Position = ""
	if r.ID == "" {
		r.ID = newID(now)
	}
	if r.Source == "" {
		r.Source = source
	}
	if r.RootID == "" || r.ParentID == "" {
		cause, _ := CauseFromContext(ctx)
		if r.RootID == "" {
			r.RootID = cause.RootID
			if r.RootID == "" {
				r.RootID = r.ID
			}
		}
		if r.ParentID == "" {
			r.ParentID = cause.ParentID
		}
	}
	if r.Time.IsZero() {
		r.Time = now
	} else {
		r.Time = r.Time.UTC().Round(0)
	}
}

// Prepare returns a copy of r with ID, Time, RootID and ParentID as Publish
// would give them now, and says what is wrong with it, except for the size of
// Data: for what publishes later, as an outbox does.
func Prepare(ctx context.Context, r *Record) (*Record, error) {
	if r == nil {
		return nil, invalidf("nil record")
	}
	c := r.Clone()
	c.fill(ctx, "", time.Now().UTC())
	return c, c.check(math.MaxInt)
}

// Limits of what a record may hold. That of Data is set by WithMaxBytes.
const (
	maxName     = 1<<16 - 1 // bytes of ID, Type, Source, RootID, ParentID, Subject and ContentType, each
	maxMetadata = 64 << 10  // bytes of all keys and values
)

// The seconds since 1970 of the years 1678 to 2261: those whose nanoseconds 64
// bits can say.
const (
	firstSecond = -9214560000
	lastSecond  = 9214646400 - 1
)

// check reports what is wrong with a record that is complete.
func (r *Record) check(maxBytes int) error {
	if err := checkType(r.Type); err != nil {
		return err
	}
	if err := checkText("ID", r.ID); err != nil {
		return err
	}
	if r.RootID != r.ID {
		if err := checkText("RootID", r.RootID); err != nil {
			return err
		}
	}
	if err := checkText("Source", r.Source); err != nil {
		return err
	}
	if err := checkText("ParentID", r.ParentID); err != nil {
		return err
	}
	if err := checkText("Subject", r.Subject); err != nil {
		return err
	}
	if err := checkText("ContentType", r.ContentType); err != nil {
		return err
	}
	if err := checkMetadata(r.Metadata); err != nil {
		return err
	}
	if len(r.Data) > maxBytes {
		return tooLargef("data has %d bytes, limit %d", len(r.Data), maxBytes)
	}
	if s := r.Time.Unix(); s < firstSecond || s > lastSecond {
		return invalidf("time %v, want a year from 1678 to 2261", r.Time)
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	n := 0
	for k, v := range m {
		if k == "" {
			return invalidf("empty metadata key")
		}
		if err := checkText("metadata key", k); err != nil {
			return err
		}
		if !utf8.ValidString(v) {
			return invalidf("metadata %q is not UTF-8", k)
		}
		n += len(k) + len(v)
	}
	if n > maxMetadata {
		return tooLargef("metadata has %d bytes, limit %d", n, maxMetadata)
	}
	return nil
}

// checkType accepts what CloudEvents does: text without control characters that
// is not empty. Types are usually dotted paths, and Patterns match those.
func checkType(t string) error {
	if t == "" {
		return invalidf("empty type")
	}
	return checkText("type", t)
}

func checkText(field, s string) error {
	if len(s) <= maxName && plain(s) {
		return nil
	}
	if len(s) > maxName {
		return tooLargef("%s has %d bytes, limit %d", field, len(s), maxName)
	}
	if !utf8.ValidString(s) {
		return invalidf("%s %q is not UTF-8", field, s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalidf("%s %q has a control character", field, s)
	}
	return nil
}

// plain reports whether all of s is printable ASCII. It looks at eight bytes at
// a time.
func plain(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		del := v ^ 0x7f*ones
		if (v|(v-' '*ones)&^v|(del-ones)&^del)&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
