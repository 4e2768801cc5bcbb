package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

var errNoRecord = errors.New("not an encoded record")

// Parse reads what Append wrote. The record's texts share s, its Data do not.
func Parse(s string, r *Record) error {
	p := Parser{Rest: s}
	p.record(r)
	if p.Bad || r.Type == "" {
		return fmt.Errorf("%w (%d bytes)", errNoRecord, len(s))
	}
	if p.Rest != "" {
		r.Data = []byte(p.Rest)
	}
	return nil
}

// ParseHead reads what AppendHead wrote in this process. The texts share s.
func ParseHead(s string, r *Record) {
	i := 1
	for _, field := range [...]*string{&r.ID, &r.Type, &r.Source, &r.RootID, &r.ParentID, &r.Subject, &r.ContentType} {
		n := int(s[i])
		i++
		if n >= 0x80 { // not the only byte of the length
			p := Parser{Rest: s, trusted: true}
			p.record(r)
			return
		}
		if n > 0 {
			*field = s[i : i+n]
			i += n
		}
	}
	p := Parser{Rest: s[i:], trusted: true}
	p.tail(r)
}

// Type reads only the type, and reports false if there is none.
func Type(s string) (string, bool) {
	if s == "" || s[0] != version {
		return "", false
	}
	p := Parser{Rest: s[1:], trusted: true}
	p.Text()
	t := p.Text()
	return t, !p.Bad && t != ""
}

// Parser reads from the front of Rest; after a failure everything is empty.
type Parser struct {
	Rest    string
	Bad     bool
	trusted bool // it is UTF-8: it was checked before
}

// record reads everything before Data.
func (p *Parser) record(r *Record) {
	if p.Rest == "" || p.Rest[0] != version {
		p.fail()
		return
	}
	p.Rest = p.Rest[1:]
	r.ID, r.Type, r.Source, r.RootID, r.ParentID, r.Subject, r.ContentType = p.Text(), p.Text(), p.Text(), p.Text(), p.Text(), p.Text(), p.Text()
	p.tail(r)
}

// tail reads what is between the texts and Data.
func (p *Parser) tail(r *Record) {
	r.Time = time.Unix(0, p.Varint()).UTC()
	n := p.Uvarint()
	if n > uint64(len(p.Rest)) { // a pair has two bytes at least
		p.Bad = true
	}
	if n > 0 && !p.Bad {
		r.Metadata = make(map[string]string, n)
		for range n {
			k := p.Text()
			r.Metadata[k] = p.Text()
		}
	}
}

// Uvarint reads an unsigned number.
func (p *Parser) Uvarint() uint64 {
	var v uint64
	for i := 0; i < len(p.Rest) && i < binary.MaxVarintLen64; i++ {
		c := p.Rest[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break
			}
			p.Rest = p.Rest[i+1:]
			return v | uint64(c)<<(7*i)
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	p.fail()
	return 0
}

// Varint reads a signed number.
func (p *Parser) Varint() int64 {
	u := p.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Text reads what AppendText wrote.
func (p *Parser) Text() string {
	n := p.Uvarint()
	if n > uint64(len(p.Rest)) || n > math.MaxInt32 || !p.trusted && !utf8.ValidString(p.Rest[:n]) {
		p.fail()
		return ""
	}
	t := p.Rest[:n]
	p.Rest = p.Rest[n:]
	return t
}

func (p *Parser) fail() { p.Bad, p.Rest = true, "" }
