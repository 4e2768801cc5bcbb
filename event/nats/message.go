package nats

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxSubject keeps the line that names a message's subject below the server's
// max_control_line, whose default is 4096 bytes: a longer one ends the
// connection.
const maxSubject = 2048

// message makes what is sent for a record, or says that the server won't take
// it: max_payload is in the server's greeting, max_msg_size in the stream's
// configuration.
func (d *driver) message(s jetstream.Stream, r *event.Record) (*gonats.Msg, error) {
	m := gonats.NewMsg(d.subject + subject(r.Type))
	if len(m.Subject) > maxSubject {
		return nil, fault.Markf(fault.TooLarge, "the type makes a subject of %d bytes, limit %d", len(m.Subject), maxSubject)
	}
	m.Data = eventdriver.AppendRecord(nil, r)
	m.Header.Set(jetstream.MsgIDHeader, messageID(r))
	size := int64(len(m.Data) + headerSize + len(m.Header.Get(jetstream.MsgIDHeader)))
	if limit := d.nc.MaxPayload(); limit > 0 && size > limit {
		return nil, fault.Markf(fault.TooLarge, "the message has %d bytes, the server's max_payload is %d", size, limit)
	}
	if limit := int64(s.CachedInfo().Config.MaxMsgSize); limit > 0 && size > limit {
		return nil, fault.Markf(fault.TooLarge, "the message has %d bytes, the stream's max_msg_size is %d", size, limit)
	}
	return m, nil
}

// headerSize is that of a header with a message id, without the id.
const headerSize = len("NATS/1.0\r\n") + len(jetstream.MsgIDHeader) + len(": \r\n\r\n")

// messageID is what the server knows repetitions by: the ID and the Source, which
// together tell CloudEvents apart, as a header can carry them, and never long.
func messageID(r *event.Record) string {
	id := strconv.QuoteToASCII(r.ID)
	if r.Source != "" {
		id += strconv.QuoteToASCII(r.Source)
	}
	if len(id) > maxID {
		sum := sha256.Sum256([]byte(id))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return id
}

const maxID = 256

// subject writes a type as a subject, one token for each segment.
func subject(typ string) string {
	if strings.IndexFunc(typ, special) < 0 && !strings.HasPrefix(typ, ".") && !strings.HasSuffix(typ, ".") && !strings.Contains(typ, "..") {
		return typ
	}
	tokens := strings.Split(typ, ".")
	for i, t := range tokens {
		tokens[i] = token(t)
	}
	return strings.Join(tokens, ".")
}

// special reports what a token can't have.
func special(r rune) bool { return r <= ' ' || r == '%' || r == '*' || r == '>' || r == 0x7f }

// token writes what it can't have as '%' and hex digits, and an empty segment as
// '%' alone.
func token(segment string) string {
	if segment == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(segment) {
		if c := segment[i]; special(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// filters returns subjects that include those of all types that the patterns
// match, or none for all. The server takes only filters that do not overlap.
func (d *driver) filters(types event.Patterns) []string {
	if types.All() {
		return nil
	}
	var list []string
	for _, p := range types.List() {
		tokens := strings.Split(p, ".")
		for i, t := range tokens {
			switch {
			case t == "**":
				tokens[i] = ">"
			case t != "*":
				tokens[i] = token(t)
			}
		}
		list = append(list, strings.Join(tokens, "."))
	}
	slices.Sort(list)
	list = slices.Compact(list)
	var apart []string
	for i, f := range list {
		if len(f) > maxSubject || len(list) > maxFilters {
			return nil
		}
		within := false
		for j, g := range list {
			if i == j || !overlap(f, g) {
				continue
			}
			if !includes(g, f) && !includes(f, g) {
				return nil // neither holds the other: all are read, and the front looks
			}
			within = within || includes(g, f)
		}
		if !within {
			apart = append(apart, d.subject+f)
		}
	}
	return apart
}

// maxFilters is how many subjects a consumer is given; with more it reads all.
const maxFilters = 50

// overlap reports whether a subject can match both filters.
func overlap(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if as[i] == ">" || bs[i] == ">" {
			return true
		}
		if as[i] != bs[i] && as[i] != "*" && bs[i] != "*" {
			return false
		}
	}
	return len(as) == len(bs)
}

// includes reports whether all subjects of b match a.
func includes(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if as[i] == ">" {
			return true
		}
		if bs[i] == ">" || as[i] != bs[i] && as[i] != "*" {
			return false
		}
	}
	return len(as) == len(bs)
}

// groupKey names a group's consumer and entries.
func groupKey(name string) string {
	if len(name) > maxKey {
		sum := sha256.Sum256([]byte(name))
		return "_sha256-" + hex.EncodeToString(sum[:]) // which escape never makes
	}
	return escape(name)
}

// maxKey keeps an escaped name below the server's 255 bytes.
const maxKey = 80
