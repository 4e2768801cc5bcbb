package driver

import (
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/codec"
)

// AppendRecord appends a record in a compact form, for backends that store bytes.
// It leaves out Position. The form is a version byte, then ID, Type, Source, RootID,
// ParentID, Subject and ContentType each as a uvarint of its length and the bytes,
// Time as a varint of nanoseconds since 1970, the number of metadata pairs as a
// uvarint and the pairs as texts, and Data to the end. A Delivered may hold it as
// Encoded.
func AppendRecord(b []byte, r *event.Record) []byte {
	return codec.Append(b, (*codec.Record)(r))
}

// ParseRecord reads what AppendRecord wrote. The record's texts share s.
func ParseRecord(s string) (*event.Record, error) {
	r := &event.Record{}
	if err := codec.Parse(s, (*codec.Record)(r)); err != nil {
		return nil, err
	}
	return r, nil
}
