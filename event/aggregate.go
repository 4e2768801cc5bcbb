package event

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Aggregation says how records are counted: in one bucket for each combination
// of the fields named by Per and, with Every, for each span of time.
type Aggregation struct {
	Per   []Dimension
	Every time.Duration // spans of Record.Time, aligned to the Unix epoch in UTC; 0: all of time
}

// Dimension is a field that records are counted by.
type Dimension string

// The dimensions.
const (
	PerType    Dimension = "type"
	PerSource  Dimension = "source"
	PerRoot    Dimension = "root"
	PerSubject Dimension = "subject"
)

// Bucket is what Aggregate counted together. Fields that Aggregation.Per does
// not name are empty.
type Bucket struct {
	Start                         time.Time // of the span; zero without Every
	Type, Source, RootID, Subject string
	Count                         int64
	Bytes                         int64     // of Data
	First, Last                   time.Time // the earliest and the latest Record.Time
}

// maxBuckets is how many buckets Aggregate makes before it gives up with
// ErrTooLarge.
const maxBuckets = 100_000

func (a Aggregation) check() error {
	if a.Every < 0 {
		return invalidf("spans of %v", a.Every)
	}
	for _, d := range a.Per {
		switch d {
		case PerType, PerSource, PerRoot, PerSubject:
		default:
			return invalidf("unknown dimension %q", d)
		}
	}
	return nil
}

// bucketOf returns an empty bucket with the record's key.
func (a Aggregation) bucketOf(r *Record) Bucket {
	var b Bucket
	for _, d := range a.Per {
		switch d {
		case PerType:
			b.Type = r.Type
		case PerSource:
			b.Source = r.Source
		case PerRoot:
			b.RootID = r.RootID
		case PerSubject:
			b.Subject = r.Subject
		}
	}
	if a.Every > 0 {
		ns, every := r.Time.UnixNano(), int64(a.Every)
		start := ns - ns%every
		if ns%every < 0 {
			start -= every
		}
		b.Start = time.Unix(0, start).UTC()
	}
	return b
}

func (f *front) Aggregate(ctx context.Context, a Aggregation, opts ...QueryOption) ([]Bucket, error) {
	o, err := newQueryOptions(opts)
	if err == nil {
		err = a.check()
	}
	if err != nil {
		return nil, f.wrap("aggregate", "", err)
	}
	buckets := map[Bucket]*Bucket{}
	var full error
	err = f.query(ctx, o, func(r *Record) bool {
		key := a.bucketOf(r)
		b := buckets[key]
		if b == nil {
			if len(buckets) == maxBuckets {
				full = tooLargef("more than %d buckets", maxBuckets)
				return false
			}
			n := key
			n.First, n.Last = r.Time, r.Time
			b = &n
			buckets[key] = b
		}
		b.Count++
		b.Bytes += int64(len(r.Data))
		if r.Time.Before(b.First) {
			b.First = r.Time
		}
		if r.Time.After(b.Last) {
			b.Last = r.Time
		}
		return true
	})
	if err == nil {
		err = full
	}
	if err != nil {
		return nil, f.wrap("aggregate", "", err)
	}
	list := make([]Bucket, 0, len(buckets))
	for _, b := range buckets {
		list = append(list, *b)
	}
	slices.SortFunc(list, compareBuckets)
	return list, nil
}

// compareBuckets orders by span, then by the fields.
func compareBuckets(a, b Bucket) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Source, b.Source),
		cmp.Compare(a.RootID, b.RootID), cmp.Compare(a.Subject, b.Subject))
}
