package promname

import "testing"

func TestFamily(t *testing.T) {
	for _, c := range []struct {
		name, unit string
		kind       Kind
		want       string
	}{
		{"http.server.request.duration", "s", Histogram, "http_server_request_duration_seconds"},
		{"http.server.request.duration", "seconds", Histogram, "http_server_request_duration_seconds"},
		{"took_seconds", "s", Histogram, "took_seconds"},
		{"took_seconds", "", Histogram, "took_seconds"},
		{"took_seconds_max", "s", Gauge, "took_seconds_max"},
		{"io.bytes", "By/s", Gauge, "io_bytes_per_second"},
		{"io_per_second", "By/s", Gauge, "io_per_second_bytes"},
		{"x", "{a}/{b}", Gauge, "x"},
		{"seconds", "s", Gauge, "seconds"},
		{"nanoseconds", "s", Gauge, "nanoseconds_seconds"},
		{"http.server.active_requests", "{request}", UpDownCounter, "http_server_active_requests"},
		{"in.use", "1", UpDownCounter, "in_use"},
		{"in.use", "1", Gauge, "in_use_ratio"},
		{"io", "By", Counter, "io_bytes"},
		{"io_bytes_total", "By", Counter, "io_bytes"},
		{"cpu_seconds_total", "seconds", Counter, "cpu_seconds"},
		{"jobs_total", "", Gauge, "jobs_total"},
		{"use", "1", Gauge, "use_ratio"},
		{"use", "1", Counter, "use"},
		{"use", "1", Histogram, "use"},
		{"full", "%", Gauge, "full_percent"},
		{"speed", "By/s", Gauge, "speed_bytes_per_second"},
		{"speed", "{row}/s", Gauge, "speed_per_second"},
		{"speed", "m/s", Gauge, "speed_meters_per_second"},
		{"x", "{a}By", Gauge, "x_bytes"},
		{"x", "}{", Gauge, "x"},
		{"x", "widgets", Gauge, "x_widgets"},
		{"x", "lb.ft", Gauge, "x_lb_ft"},
		{"a..b/c-d_.e", "", Gauge, "a_b_c_d_e"},
		{"a__b", "", Gauge, "a__b"}, // it is Prometheus' own
		{"job:rate", "", Gauge, "job:rate"},
		{"2nd", "", Gauge, "_2nd"},
		{"0th", "", Gauge, "_0th"},
		{"9th", "", Gauge, "_9th"},
		{"0.9", "", Gauge, "_0_9"},
		{"/x", "", Gauge, "_x"},
		{"AZ.az@[`{09/", "", Gauge, "AZ_az_09_"},
		{"x", "A.Z", Gauge, "x_A_Z"},
		{"x", "{a}{b}s", Gauge, "x_seconds"},
		{"x", "{", Gauge, "x"},
		{"zähler", "", Gauge, "z_hler"},
		{"", "", Gauge, "_"},
	} {
		if got := Family(c.name, c.unit, c.kind); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.name, c.unit, got, c.want)
		}
	}
}

func TestKey(t *testing.T) {
	for key, want := range map[string]string{
		"http.route": "http_route", "route": "route", "le": "le_", "1st": "_1st", "a:b": "a_b", "ä": "_", "": "_", "__name": "__name",
	} {
		if got := Key(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func FuzzFamily(f *testing.F) {
	f.Add("http.server.request.duration", "s", uint8(2))
	f.Add("\xff\x80..", "}{/", uint8(0))
	f.Fuzz(func(t *testing.T, name, unit string, kind uint8) {
		got := Family(name, unit, Kind(kind%3))
		if !fits(got, ':') || !fits(Key(name), '_') {
			t.Errorf("%q in %q: %q", name, unit, got)
		}
		if again := Family(got, "", Gauge); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}
