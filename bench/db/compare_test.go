package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// Benchmark has the rows of the table in DESIGN.md, on each database. All of
// them are on one setting, which takes its time to make.
func Benchmark(b *testing.B) {
	each(b, func(b *testing.B, s *setting) {
		b.Run("Read", s.read)
		b.Run("PageByEqual", s.equal)
		b.Run("PageByTwoEquals", s.both)
		b.Run("PageByRange", s.between)
		b.Run("OrderByKey", s.ordered)
		b.Run("DeepPage", s.deep)
		b.Run("Update", s.update)
		b.Run("Create", s.create)
	})
}

func (s *setting) read(b *testing.B) {
	s.compare(b, 400, func(ctx context.Context, i int) {
		_, err := s.tb.Read(ctx, id(i*7919%rows))
		must(b, err)
	}, func(ctx context.Context, i int) {
		var r row
		must(b, s.raw.get.QueryRowContext(ctx, id(i*7919%rows)).Scan(r.to()...))
	}, func(ctx context.Context, i int) {
		var r row
		must(b, s.gorm.WithContext(ctx).Take(&r, "id = ?", id(i*7919%rows)).Error)
	})
}

func (s *setting) search(ctx context.Context, b *testing.B, want int, opts ...db.SearchOption) {
	p, err := s.tb.Search(ctx, append(opts, db.Limit(20))...)
	must(b, err)
	found(b, len(p.Records), want)
}

func found(b *testing.B, n, want int) {
	if n != want {
		b.Helper()
		b.Fatalf("%d records, want %d", n, want)
	}
}

func (s *setting) equal(b *testing.B) {
	s.compare(b, 150, func(ctx context.Context, i int) {
		s.search(ctx, b, 20, db.Where(db.Equal("owner", owner(i))))
	}, func(ctx context.Context, i int) {
		rs, err := s.raw.equal.QueryContext(ctx, owner(i))
		found(b, scan(b, rs, err), 21)
	}, func(ctx context.Context, i int) {
		var all []row
		must(b, s.gorm.WithContext(ctx).Where("owner = ?", owner(i)).Order("id").Limit(21).Find(&all).Error)
		found(b, len(all), 21)
	})
}

// both asks for a common key and a rare one, in either order.
func (s *setting) both(b *testing.B) {
	names := []string{"common-first", "rare-first", "raw"}
	at := func(i int) (db.Filter, db.Filter) { return db.Equal("state", state(i)), db.Equal("owner", owner(i)) }
	compare(b, 60, names, func(ctx context.Context, i int) {
		common, rare := at(i)
		p, err := s.tb.Search(ctx, db.Where(common, rare), db.Limit(20))
		must(b, err)
		found(b, min(len(p.Records), 14), 14)
	}, func(ctx context.Context, i int) {
		common, rare := at(i)
		p, err := s.tb.Search(ctx, db.Where(rare, common), db.Limit(20))
		must(b, err)
		found(b, min(len(p.Records), 14), 14)
	}, func(ctx context.Context, i int) {
		rs, err := s.raw.both.QueryContext(ctx, owner(i), state(i))
		found(b, min(scan(b, rs, err), 14), 14)
	})
}

func (s *setting) between(b *testing.B) {
	at := func(i int) int { return i * 97 % (rows - 1000) }
	s.compare(b, 150, func(ctx context.Context, i int) {
		s.search(ctx, b, 20, db.Where(db.GreaterOrEqual("total", at(i)), db.Less("total", at(i)+1000)), db.OrderBy("total"))
	}, func(ctx context.Context, i int) {
		rs, err := s.raw.between.QueryContext(ctx, at(i), at(i)+1000)
		found(b, scan(b, rs, err), 21)
	}, func(ctx context.Context, i int) {
		var all []row
		must(b, s.gorm.WithContext(ctx).Where("total >= ? AND total < ?", at(i), at(i)+1000).Order("total").Order("id").Limit(21).Find(&all).Error)
		found(b, len(all), 21)
	})
}

func (s *setting) ordered(b *testing.B) {
	s.compare(b, 150, func(ctx context.Context, i int) {
		s.search(ctx, b, 20, db.OrderBy("total"))
	}, func(ctx context.Context, i int) {
		rs, err := s.raw.ordered.QueryContext(ctx)
		found(b, scan(b, rs, err), 21)
	}, func(ctx context.Context, i int) {
		var all []row
		must(b, s.gorm.WithContext(ctx).Order("total").Order("id").Limit(21).Find(&all).Error)
		found(b, len(all), 21)
	})
}

// deep is the page at record 50 000 against the first one; an OFFSET is what
// others do.
func (s *setting) deep(b *testing.B) {
	opts := []db.SearchOption{db.OrderBy("total")}
	cursor := ""
	for n := 0; n < rows/2; n += 1000 {
		p, err := s.tb.Search(b.Context(), append(opts[:1:1], db.Limit(1000), db.After(cursor))...)
		must(b, err)
		cursor = p.Next
	}
	compare(b, 20, []string{"deep", "first", "offset"}, func(ctx context.Context, _ int) {
		s.search(ctx, b, 20, append(opts[:1:1], db.After(cursor))...)
	}, func(ctx context.Context, _ int) {
		s.search(ctx, b, 20, opts...)
	}, func(ctx context.Context, _ int) {
		rs, err := s.raw.read.QueryContext(ctx, "SELECT id, version, created, updated, owner, state, total, content_type, data FROM raw ORDER BY total, id LIMIT 21 OFFSET 50000")
		found(b, scan(b, rs, err), 21)
	})
}

func (s *setting) update(b *testing.B) {
	const n = 200
	ours := make([]*db.Record, n)
	for i := range ours {
		r, err := s.tb.Read(b.Context(), id(i))
		must(b, err)
		ours[i] = r
	}
	versions := make([]int64, n)
	s.compare(b, n, func(ctx context.Context, i int) {
		ours[i].Metadata["total"] = total(i + int(ours[i].Version))
		must(b, s.tb.Update(ctx, ours[i]))
	}, func(ctx context.Context, i int) {
		versions[i]++
		res, err := s.raw.update.ExecContext(ctx, time.Now().UnixMicro(), owner(i), state(i), total(i+int(versions[i])), "", payload, id(i), versions[i])
		must(b, err)
		changed, err := res.RowsAffected()
		must(b, err)
		found(b, int(changed), 1)
	}, func(ctx context.Context, i int) {
		versions[i]++
		res := s.gorm.WithContext(ctx).Model(&row{}).Where("id = ? AND version = ?", id(i), versions[i]).Updates(map[string]any{
			"version": versions[i] + 1, "updated": time.Now().UnixMicro(), "owner": owner(i), "state": state(i), "total": total(i + int(versions[i])), "content_type": "", "data": payload,
		})
		must(b, res.Error)
		found(b, int(res.RowsAffected), 1)
	})
}

func (s *setting) create(b *testing.B) {
	next := func() int { s.next++; return s.next }
	s.compare(b, 150, func(ctx context.Context, _ int) {
		i := next()
		must(b, s.tb.Create(ctx, &db.Record{ID: id(i), Metadata: metadata(i), Data: payload}))
	}, func(ctx context.Context, _ int) {
		_, err := s.raw.insert.ExecContext(ctx, s.raw.row(next())...)
		must(b, err)
	}, func(ctx context.Context, _ int) {
		i := next()
		now := time.Now().UnixMicro()
		must(b, s.gorm.WithContext(ctx).Create(&row{ID: id(i), Version: 1, Created: now, Updated: now, Owner: owner(i), State: state(i), Total: int64(total(i)), Data: payload}).Error)
	})
}
