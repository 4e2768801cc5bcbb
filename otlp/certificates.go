package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"

	"github.com/micro/go-platform/internal/otlp"
)

// certificates reads the files that TLS to addr needs. It returns nil if none
// are named.
func (s *signal) certificates(addr string) (Option, error) {
	caVariable, ca := s.of("CERTIFICATE")
	certVariable, cert := s.of("CLIENT_CERTIFICATE")
	keyVariable, key := s.of("CLIENT_KEY")
	for _, p := range []pair{{caVariable, ca}, {certVariable, cert}, {keyVariable, key}} {
		if p.value != "" && !strings.HasPrefix(addr, "https://") {
			endpoint, _ := s.of("ENDPOINT")
			return nil, bad(p.key, "it is set, but %s does not begin with https://", endpoint)
		}
	}
	switch {
	case ca == "" && cert == "" && key == "":
		return nil, nil
	case cert == "" && key != "":
		return nil, bad(certVariable, "it is not set, but %s is", keyVariable)
	case cert != "" && key == "":
		return nil, bad(keyVariable, "it is not set, but %s is", certVariable)
	}
	c := &tls.Config{}
	if s.program.TLS != nil {
		c = s.program.TLS.Clone()
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, wrong(caVariable, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, bad(caVariable, "no certificate in %s", ca)
		}
	}
	if cert != "" {
		both, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, wrong(certVariable, err)
		}
		c.Certificates = []tls.Certificate{both}
	}
	return otlp.WithTLS(c), nil
}
