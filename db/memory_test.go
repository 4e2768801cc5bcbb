package db_test

import (
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemory(t *testing.T) {
	dbtest.Run(t, dbtest.Harness{Open: func(t testing.TB, opts ...db.Option) db.DB {
		d, err := db.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}})
}
