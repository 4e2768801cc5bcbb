package otlp

import (
	"net/url"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/otlp"
)

// exporter is where one signal goes, and how.
type exporter struct {
	addr    string
	opts    []Option
	timeout time.Duration
}

// signal is one of the three while its variables are read.
type signal struct {
	name string // as variables have it: TRACES
	otlp.Signal
	program otlp.Options // what the program says
	grpc    bool
}

// of returns the variable of the signal, or else that of all three.
func (s *signal) of(name string) (variable, v string) {
	variable = "OTEL_EXPORTER_OTLP_" + s.name + "_" + name
	v = value(variable)
	if v != "" {
		return variable, v
	}
	variable = "OTEL_EXPORTER_OTLP_" + name
	return variable, value(variable)
}

// newExporter reads the variables of a signal. It is nil if there is to be none.
func newExporter(name string, of otlp.Signal, opts []Option) (*exporter, error) {
	variable := "OTEL_" + name + "_EXPORTER"
	switch v := value(variable); v {
	case "none":
		return nil, nil
	case "", "otlp":
	default:
		return nil, bad(variable, "%q, want otlp or none", v)
	}
	s := &signal{name: name, Signal: of}
	var err error
	s.program, err = otlp.Apply(opts)
	if err != nil {
		return nil, wrong("options", err)
	}
	x := &exporter{opts: opts[:len(opts):len(opts)]}
	for _, read := range []func() (Option, error){s.protocol, s.headers, s.compression, s.temporality} {
		opt, err := read()
		if err != nil {
			return nil, err
		}
		if opt != nil {
			x.opts = append(x.opts, opt)
		}
	}
	addr, endpoint, err := s.endpoint()
	if err != nil {
		return nil, err
	}
	x.addr = addr
	x.opts = append(x.opts, endpoint)
	certificates, err := s.certificates(addr)
	if err != nil {
		return nil, err
	}
	if certificates != nil {
		x.opts = append(x.opts, certificates)
	}
	variable, _ = s.of("TIMEOUT")
	x.timeout, err = milliseconds(variable)
	if err != nil {
		return nil, err
	}
	// What can't be together is found here rather than when the part is opened.
	client, err := otlp.New(x.addr, of, x.opts)
	if err != nil {
		variable, _ = s.of("ENDPOINT")
		return nil, wrong(variable, err)
	}
	return x, client.Close()
}

func (s *signal) protocol() (Option, error) {
	s.grpc = s.program.Opener != nil
	variable, v := s.of("PROTOCOL")
	switch v {
	case "":
		return nil, nil
	case "grpc":
		if !s.grpc {
			return nil, bad(variable, "gRPC is not linked: FromEnv needs otlpgrpc.Transport() of otlp/otlpgrpc")
		}
		return nil, nil
	case "http/protobuf", "http/json":
		s.grpc = false
		return func(o *otlp.Options) error { o.Opener, o.JSON = nil, v == "http/json"; return nil }, nil
	}
	return nil, bad(variable, "%q, want grpc, http/protobuf or http/json", v)
}

func (s *signal) headers() (Option, error) {
	variable, v := s.of("HEADERS")
	all, err := pairs(variable, v)
	if err != nil {
		return nil, err
	}
	set := func(o *otlp.Options) error {
		o.Header = o.Header.Clone()
		for _, p := range all {
			o.Header.Del(p.key)
			if err := otlp.WithHeader(p.key, p.value)(o); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := otlp.Apply([]Option{set}); err != nil {
		return nil, wrong(variable, err)
	}
	return set, nil
}

func (s *signal) compression() (Option, error) {
	variable, v := s.of("COMPRESSION")
	if v == "" {
		return nil, nil
	}
	if v != "gzip" && v != "none" {
		return nil, bad(variable, "%q, want gzip or none", v)
	}
	return func(o *otlp.Options) error { o.Plain = v == "none"; return nil }, nil
}

// temporality is of the metrics alone, and means nothing to the others.
func (s *signal) temporality() (Option, error) {
	const variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	switch v := strings.ToLower(value(variable)); v {
	case "":
		return nil, nil
	case "cumulative", "delta", "lowmemory":
		return func(o *otlp.Options) error { o.Delta = v != "cumulative"; return nil }, nil
	default:
		return nil, bad(variable, "%q, want cumulative, delta or lowmemory", v)
	}
}

// endpoint returns the address, with its scheme, and what sets the path.
func (s *signal) endpoint() (addr string, path Option, err error) {
	variable, v := s.of("ENDPOINT")
	switch {
	case s.grpc && s.program.Given:
		if v != "" {
			return "", nil, bad(variable, "it is set beside otlpgrpc.WithClient, which has an address")
		}
		return "", nothing, nil
	case s.grpc:
		addr, err = s.target(variable, v)
		return addr, nothing, err
	case v == "":
		v = "http://localhost:4318"
	}
	u, err := parse(variable, v)
	if err != nil {
		return "", nil, err
	}
	to := u.EscapedPath()
	switch {
	case variable == "OTEL_EXPORTER_OTLP_ENDPOINT": // where the paths of all signals begin
		to = strings.TrimRight(to, "/") + s.Path
	case to == "":
		to = "/"
	}
	u.Path, u.RawPath = "", ""
	return u.String(), func(o *otlp.Options) error { o.Path = to; return nil }, nil
}

// target is the endpoint of gRPC, which may be without a scheme.
func (s *signal) target(variable, v string) (string, error) {
	if v == "" {
		return "http://localhost:4317", nil
	}
	if !strings.Contains(v, "://") {
		name, _ := s.of("INSECURE")
		clear, err := truth(name)
		if err != nil {
			return "", err
		}
		if clear {
			return "http://" + v, nil
		}
		return "https://" + v, nil
	}
	u, err := parse(variable, v)
	if err != nil {
		return "", err
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u.String(), nil
}

func nothing(*otlp.Options) error { return nil }

func parse(variable, v string) (*url.URL, error) {
	u, err := url.Parse(v)
	switch {
	case err != nil: // which repeats a password
		return nil, bad(variable, "it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, bad(variable, "%q, want http://host:port or https://host:port", conn.Redact(v))
	case u.RawQuery != "" || u.Fragment != "":
		return nil, bad(variable, "%q has a query or a fragment", conn.Redact(v))
	}
	return u, nil
}
