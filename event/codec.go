package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// codecVersion is the first byte of an encoded record.
const codecVersion = 1

// AppendRecord appends a record in a compact form, for drivers whose backend
// stores bytes. It leaves out Position. The form is a version byte, then ID,
// Type, Source, RootID, ParentID, Subject and ContentType each as a uvarint of
// its length and the bytes, Time as a varint of nanoseconds since 1970, the
// number of metadata pairs as a uvarint and the pairs as strings, and Data to the
// end.
func AppendRecord(b []byte, r *Record) []byte {
	return append(appendHead(b, r), r.Data...)
}

// appendHead appends everything before Data.
func appendHead(b []byte, r *Record) []byte {
	b = append(b, codecVersion)
	b = appendText(b, r.ID)
	b = appendText(b, r.Type)
	b = appendText(b, r.Source)
	b = appendText(b, r.RootID)
	b = appendText(b, r.ParentID)
	b = appendText(b, r.Subject)
	b = appendText(b, r.ContentType)
	b = binary.AppendVarint(b, r.Time.UnixNano())
	b = binary.AppendUvarint(b, uint64(len(r.Metadata)))
	for k, v := range r.Metadata {
		b = appendText(appendText(b, k), v)
	}
	return b
}

// maxHead is no less than what appendHead appends.
func maxHead(r *Record) int {
	n := 1 + 9*binary.MaxVarintLen64 + len(r.ID) + len(r.Type) + len(r.Source) + len(r.RootID) + len(r.ParentID) + len(r.Subject) + len(r.ContentType)
	for k, v := range r.Metadata {
		n += 2*binary.MaxVarintLen64 + len(k) + len(v)
	}
	return n
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errNoRecord = errors.New("not an encoded record")

// ParseRecord reads what AppendRecord wrote. The record's strings share s.
func ParseRecord(s string) (*Record, error) {
	r := &Record{}
	if err := parseRecord(s, r); err != nil {
		return nil, err
	}
	return r, nil
}

func parseRecord(s string, r *Record) error {
	p := parser{s: s}
	p.record(r)
	if p.bad || r.Type == "" {
		return fmt.Errorf("%w (%d bytes)", errNoRecord, len(s))
	}
	if p.s != "" {
		r.Data = []byte(p.s)
	}
	return nil
}

// encodedType reads only the type, and reports false if there is none.
func encodedType(s string) (string, bool) {
	p := parser{s: s, trusted: true}
	if s == "" || s[0] != codecVersion {
		return "", false
	}
	p.s = s[1:]
	p.text()
	t := p.text()
	return t, !p.bad && t != ""
}

// parser reads from the front of s; after a failure everything is empty.
type parser struct {
	s       string
	bad     bool
	trusted bool // it is UTF-8: it was checked before
}

// record reads everything before Data.
func (p *parser) record(r *Record) {
	if p.s == "" || p.s[0] != codecVersion {
		p.bad, p.s = true, ""
		return
	}
	p.s = p.s[1:]
	r.ID, r.Type, r.Source, r.RootID, r.ParentID, r.Subject, r.ContentType = p.text(), p.text(), p.text(), p.text(), p.text(), p.text(), p.text()
	p.rest(r)
}

// rest reads what is behind the text.
func (p *parser) rest(r *Record) {
	r.Time = time.Unix(0, p.varint()).UTC()
	n := p.uvarint()
	if n > uint64(len(p.s)) { // a pair has two bytes at least
		p.bad = true
	}
	if n > 0 && !p.bad {
		r.Metadata = make(map[string]string, n)
		for range n {
			k := p.text()
			r.Metadata[k] = p.text()
		}
	}
}

func (p *parser) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(p.s) && i < binary.MaxVarintLen64; i++ {
		c := p.s[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break
			}
			p.s = p.s[i+1:]
			return v | uint64(c)<<(7*i)
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	p.bad, p.s = true, ""
	return 0
}

func (p *parser) varint() int64 {
	u := p.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (p *parser) text() string {
	n := p.uvarint()
	if n > uint64(len(p.s)) || n > math.MaxInt32 || !p.trusted && !utf8.ValidString(p.s[:n]) {
		p.bad, p.s = true, ""
		return ""
	}
	t := p.s[:n]
	p.s = p.s[n:]
	return t
}
