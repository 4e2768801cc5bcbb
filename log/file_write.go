package log

import (
	"context"
	"io"
	"time"
)

// Write appends a batch, in as many files as the rotation wants.
func (f *file) Write(ctx context.Context, b Batch) (int, error) {
	now := time.Now()
	if err := f.follow(now); err != nil {
		return 0, err
	}
	if f.tidying.left.Load() && now.Sub(f.swept) >= time.Second {
		f.tidy()
	}
	done := 0
	for done < b.Len() {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if f.partial == 0 && f.size > 0 && (f.every > 0 && !now.Before(f.ends) || f.tooLarge(int64(len(b.Record(done))))) {
			if err := f.rotate(now); err != nil {
				return done, err
			}
		}
		if f.unsure && f.partial == 0 && b.Data[b.Ends[done]-1] == '\n' {
			if err := f.beginLine(); err != nil {
				return done, err
			}
		}
		n, err := f.append(b, done)
		done += n
		if err != nil {
			f.unsure = true
			return done, err
		}
	}
	return done, nil
}

func (f *file) tooLarge(more int64) bool { return f.maxBytes > 0 && f.size+more > f.maxBytes }

// append writes as many records from the given one on as the file has room for,
// at least one.
func (f *file) append(b Batch, from int) (int, error) {
	start, to := b.start(from), from+1
	for to < b.Len() && !f.tooLarge(int64(b.Ends[to]-start)) {
		to++
	}
	n, err := f.out.Write(b.Data[start+f.partial : b.Ends[to-1]])
	f.size += int64(n)
	var done int
	done, f.partial = progress(b, start+f.partial+n)
	if err == nil && done < to {
		err = io.ErrShortWrite
	}
	return done - from, err
}
