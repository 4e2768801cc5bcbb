package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs is a certificate authority with one server and one client certificate, as PEM files and
// as configurations. The server's is for 127.0.0.1 and the two
// addresses after it, for ::1 and localhost.
type Certs struct {
	CAFile                    string
	ServerCert, ServerKeyFile string
	ClientCert, ClientKeyFile string
	Server, Client            *tls.Config
}

// NewCerts makes certificates for the test.
func NewCerts(t testing.TB) *Certs {
	t.Helper()
	c, err := newCerts(t.TempDir())
	if err != nil {
		t.Fatalf("servertest: make certificates: %v", err)
	}
	return c
}

func newCerts(dir string) (*Certs, error) {
	// Servers that don't run as root must be able to read the files.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	c := &Certs{
		CAFile:     filepath.Join(dir, "ca.pem"),
		ServerCert: filepath.Join(dir, "server.pem"), ServerKeyFile: filepath.Join(dir, "server-key.pem"),
		ClientCert: filepath.Join(dir, "client.pem"), ClientKeyFile: filepath.Join(dir, "client-key.pem"),
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := certificate(1, "servertest authority")
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(c.CAFile, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	ca, err = x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	server := certificate(2, "server")
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2), net.IPv4(127, 0, 0, 3), net.IPv6loopback}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	serverPair, err := issue(ca, key, server, c.ServerCert, c.ServerKeyFile)
	if err != nil {
		return nil, err
	}
	clientPair, err := issue(ca, key, certificate(3, "client"), c.ClientCert, c.ClientKeyFile)
	if err != nil {
		return nil, err
	}
	c.Server = &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	c.Client = &tls.Config{Certificates: []tls.Certificate{clientPair}, RootCAs: pool}
	return c, nil
}

func certificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// issue signs c with a new key and writes both to files.
func issue(ca *x509.Certificate, caKey *ecdsa.PrivateKey, c *x509.Certificate, certFile, keyFile string) (tls.Certificate, error) {
	var none tls.Certificate
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		return none, err
	}
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return none, err
	}
	der, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return none, err
	}
	if err := writePEM(keyFile, "PRIVATE KEY", der); err != nil {
		return none, err
	}
	return tls.LoadX509KeyPair(certFile, keyFile)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}
