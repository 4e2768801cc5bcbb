// Package codec is the compact form of records in which the memory backend, the
// journal and backends that store bytes keep them.
//
// The form is a version byte, then ID, Type, Source, RootID, ParentID, Subject and
// ContentType each as a uvarint of its length and the bytes, Time as a varint of
// nanoseconds since 1970, the number of metadata pairs as a uvarint and the pairs
// as texts, and Data to the end. Position is left out.
package codec

import (
	"encoding/binary"
	"time"
)

// version is the first byte of an encoded record.
const version = 1

// Record has the fields of event.Record, so that a pointer to one converts to a
// pointer to the other. The compiler checks that they are the same.
type Record struct {
	ID, Type, Source, RootID, ParentID, Subject string

	Time        time.Time
	Metadata    map[string]string
	ContentType string
	Data        []byte
	Position    string
}

// Append appends a record.
func Append(b []byte, r *Record) []byte {
	return append(AppendHead(b, r), r.Data...)
}

// AppendHead appends everything before Data.
func AppendHead(b []byte, r *Record) []byte {
	b = append(b, version)
	b = AppendText(b, r.ID)
	b = AppendText(b, r.Type)
	b = AppendText(b, r.Source)
	b = AppendText(b, r.RootID)
	b = AppendText(b, r.ParentID)
	b = AppendText(b, r.Subject)
	b = AppendText(b, r.ContentType)
	b = binary.AppendVarint(b, r.Time.UnixNano())
	b = binary.AppendUvarint(b, uint64(len(r.Metadata)))
	for k, v := range r.Metadata {
		b = AppendText(AppendText(b, k), v)
	}
	return b
}

// MaxHead is no less than what AppendHead appends.
func MaxHead(r *Record) int {
	n := 1 + 9*binary.MaxVarintLen64 + len(r.ID) + len(r.Type) + len(r.Source) + len(r.RootID) + len(r.ParentID) + len(r.Subject) + len(r.ContentType)
	for k, v := range r.Metadata {
		n += 2*binary.MaxVarintLen64 + len(k) + len(v)
	}
	return n
}

// AppendText appends a text with its length in front.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
