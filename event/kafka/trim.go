package kafka

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Trim removes what is before an offset of each partition, with DeleteRecords. The
// broker frees the disk with its next round over whole segments. Of several
// partitions, each gives up its share of what is too much.
func (d *driver) Trim(ctx context.Context, keep event.Retention) (int64, error) {
	t, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	starts, err := d.starts(ctx, t)
	if err != nil {
		return 0, err
	}
	ends, err := d.ends(ctx, t)
	if err != nil {
		return 0, err
	}
	total := behind(starts, ends)
	if total == 0 {
		return 0, nil
	}
	excess := int64(0)
	if keep.Count > 0 {
		excess = max(excess, total-keep.Count)
	}
	if keep.Bytes > 0 {
		each, err := d.usualSize(ctx, t, starts, ends)
		if err != nil {
			return 0, err
		}
		excess = max(excess, total-keep.Bytes/max(each, 1))
	}
	upto := make(vector, len(starts))
	for p := range upto {
		n := ends[p] - starts[p]
		upto[p] = starts[p] + int64(float64(excess)*float64(n)/float64(total))
	}
	if keep.Age > 0 {
		old, err := d.since(ctx, t, time.Now().Add(-keep.Age))
		if err != nil {
			return 0, err
		}
		for p := range upto {
			upto[p] = max(upto[p], old[p])
		}
	}
	groups, err := d.load(ctx, 0)
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		floor, err := d.floor(ctx, t, g)
		if err != nil {
			return 0, err
		}
		for p := range upto {
			upto[p] = min(upto[p], floor[p])
		}
	}
	var remove kadm.Offsets
	removed := int64(0)
	for p := range upto {
		upto[p] = min(upto[p], ends[p])
		if upto[p] > starts[p] {
			remove.AddOffset(t.name, int32(p), upto[p], -1)
			removed += upto[p] - starts[p]
		}
	}
	if removed == 0 {
		return 0, nil
	}
	answers, err := d.admin.DeleteRecords(ctx, remove)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return 0, kafka.WriteError(err)
	}
	return removed, nil
}

// samples is at how many places of a partition records are looked at for their
// usual size, and sampleBytes how much there.
const (
	samples     = 4
	sampleBytes = 64 << 10
)

// usualSize estimates the bytes of a record from samples of each partition: the
// broker knows only how large its files are, also with what was removed.
func (d *driver) usualSize(ctx context.Context, t *topic, starts, ends vector) (int64, error) {
	bytes, count := int64(0), int64(0)
	for i := range int64(samples) {
		from := map[int32]int64{}
		for p := range starts {
			if ends[p] > starts[p] {
				from[int32(p)] = starts[p] + (ends[p]-starts[p])*i/samples
			}
		}
		got, err := d.fetch(ctx, t.name, from, sampleBytes)
		if err != nil {
			return 0, err
		}
		for _, g := range got {
			for _, m := range g.records {
				bytes += int64(size(m))
				count++
			}
		}
	}
	return bytes / max(count, 1), nil
}
