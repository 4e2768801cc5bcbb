package event

import "github.com/micro/go-platform/event/internal/codec"

// encodable is the record as package codec knows it. It has the same fields.
func (r *Record) encodable() *codec.Record { return (*codec.Record)(r) }

// parseRecord reads an encoded record, whose texts share s.
func parseRecord(s string) (*Record, error) {
	r := &Record{}
	if err := codec.Parse(s, r.encodable()); err != nil {
		return nil, err
	}
	return r, nil
}
