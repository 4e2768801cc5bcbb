package db_test

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	dbdriver "github.com/micro/go-platform/db/driver"
)

func TestSortKeyOrdersNumbersByValue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	exact := func(v any) *big.Float {
		switch v := v.(type) {
		case int64:
			return new(big.Float).SetPrec(200).SetInt64(v)
		case float64:
			return new(big.Float).SetPrec(200).SetFloat64(v)
		}
		panic(v)
	}
	var all []any
	for _, n := range []int64{0, 1, -1, 1 << 52, 1 << 53, 1<<53 + 1, 1<<53 + 2, 1<<62 + 1, math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 - 512, math.MinInt64, math.MinInt64 + 1} {
		all = append(all, n, float64(n), math.Nextafter(float64(n), math.Inf(1)), math.Nextafter(float64(n), math.Inf(-1)))
	}
	for range 200 {
		n := int64(rnd.Uint64())
		all = append(all, n, n+1, float64(n), rnd.NormFloat64(), math.Float64frombits(rnd.Uint64()&^(1<<62)))
	}
	for _, a := range all {
		for _, b := range all {
			if got, want := bytes.Compare(dbdriver.SortKey(a), dbdriver.SortKey(b)), exact(a).Cmp(exact(b)); got != want {
				t.Fatalf("keys of %T %v and %T %v compare %d, want %d", a, a, b, b, got, want)
			}
		}
	}
}

func TestSortKeyOrdersKinds(t *testing.T) {
	ascending := []any{nil, false, true, math.Inf(-1), int64(-1), 0.0, int64(1), "", "\x00", "a", "a\x00", "b", time.Unix(-1, 0), time.Unix(0, 0), time.Unix(0, 1000)}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := bytes.Compare(dbdriver.SortKey(a), dbdriver.SortKey(b)); got != cmp.Compare(i, j) {
				t.Errorf("keys of %#v and %#v compare %d, want %d", a, b, got, cmp.Compare(i, j))
			}
		}
	}
}

func FuzzMetadataRoundTrip(f *testing.F) {
	f.Add("k", "v", int64(1), 1.5, int64(0), "a,b")
	f.Add("", "\x00\u2028<>&\"", int64(math.MinInt64), math.Copysign(0, -1), int64(1), "")
	f.Fuzz(func(t *testing.T, k, s string, n int64, x float64, at int64, l string) {
		k, s, l = strings.ToValidUTF8(k, ""), strings.ToValidUTF8(s, ""), strings.ToValidUTF8(l, "")
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		when := time.UnixMicro(at % 1e15).UTC()
		md := map[string]any{"s" + k: s, "n" + k: n, "x" + k: x, "t" + k: when, "l" + k: strings.Split(l, ","), "b" + k: n > 0}
		b, err := dbdriver.EncodeMetadata(md)
		if err != nil {
			t.Fatal(err)
		}
		got, err := dbdriver.DecodeMetadata(b)
		if err != nil || !reflect.DeepEqual(got, md) {
			t.Fatalf("%s: %v\n got %#v\nwant %#v", b, err, got, md)
		}
	})
}

func FuzzDecodeMetadata(f *testing.F) {
	f.Add([]byte(`{"a":{"@time":"2030-01-01T00:00:00Z"},"b":[1],"c":1e999,"d":null}`))
	f.Fuzz(func(t *testing.T, b []byte) { dbdriver.DecodeMetadata(b) }) // no panic
}
