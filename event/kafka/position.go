package kafka

import (
	"strconv"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// vector is a place in a topic: the offset to read next, of each partition. A
// partition that it is too short for is read from its beginning, since it was
// added later.
//
// As a position it is written as the last offsets before that place, with commas
// between, which of a topic of one partition is the offset of the record. A record
// that was handed to a group has the position "partition:offset", which says
// nothing about the other partitions: those are read from the time of the record.
type vector []int64

func (v vector) at(p int) int64 {
	if p < len(v) {
		return v[p]
	}
	return 0
}

func (v vector) String() string {
	b := make([]byte, 0, 32)
	for i, next := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, next-1, 10)
	}
	return string(b)
}

// after is a parsed position.
type after struct {
	next      vector
	partition int // of one record; -1: next is whole
}

// parse reads a position. "" is before everything.
func parse(position string) (after, error) {
	a := after{partition: -1}
	if position == "" {
		return a, nil
	}
	bad := func() (after, error) {
		return after{}, fault.Markf(fault.Invalid, "position %q is not one of a Kafka topic", position)
	}
	if p, offset, ok := strings.Cut(position, ":"); ok {
		n, err := strconv.ParseInt(p, 10, 32)
		last, err2 := strconv.ParseInt(offset, 10, 64)
		if err != nil || err2 != nil || n < 0 || last < 0 || last == 1<<63-1 {
			return bad()
		}
		return after{next: vector{last + 1}, partition: int(n)}, nil
	}
	for part := range strings.SplitSeq(position, ",") {
		last, err := strconv.ParseInt(part, 10, 64)
		if err != nil || last < -1 || last == 1<<63-1 {
			return bad()
		}
		a.next = append(a.next, last+1)
	}
	return a, nil
}

// positionOf is that of a record handed to a group.
func positionOf(partitions int, p int32, offset int64) string {
	if partitions == 1 {
		return strconv.FormatInt(offset, 10)
	}
	return strconv.Itoa(int(p)) + ":" + strconv.FormatInt(offset, 10)
}
