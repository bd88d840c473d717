package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/serve"
)

// A key signs ID tokens.
type key struct {
	id    string
	rsa   *rsa.PrivateKey
	ecdsa *ecdsa.PrivateKey
}

func newKey(tb testing.TB, algorithm string) *key {
	tb.Helper()
	k := &key{id: rand.Text()}
	var err error
	if algorithm == "ES256" {
		k.ecdsa, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// public is the key as the world may know it. Source: RFC 7518, 6.2.1 and 6.3.1.
func (k *key) public() Claims {
	c := Claims{"kid": k.id, "use": "sig"}
	if k.ecdsa != nil {
		point, err := k.ecdsa.PublicKey.Bytes() // 4, x, y
		if err != nil {
			panic(err) // a key that was just made
		}
		c.add(Claims{"kty": "EC", "alg": "ES256", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])})
		return c
	}
	c.add(Claims{"kty": "RSA", "alg": "RS256", "n": encode(k.rsa.N.Bytes()), "e": encode(big.NewInt(int64(k.rsa.E)).Bytes())})
	return c
}

func (k *key) algorithm() string {
	if k.ecdsa != nil {
		return "ES256"
	}
	return "RS256"
}

// sign makes an ID token, or what passes for one. Source: RFC 7515, 3.1 and 5.1.
func (p *Provider) sign(c Claims) string {
	k := p.keys[0]
	alg := or(p.faults.Algorithm, k.algorithm())
	header, err := json.Marshal(Claims{"alg": alg, "kid": k.id, "typ": "JWT"})
	if err != nil {
		panic(err) // texts can be written
	}
	body, err := json.Marshal(c)
	if err != nil {
		panic(err) // so can what a test says of people
	}
	input := encode(header) + "." + encode(body)
	sum := sha256.Sum256([]byte(input))
	if p.faults.ForeignKey {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err == nil && k.rsa != nil {
			k = &key{id: k.id}
			k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
		} else {
			k = &key{id: k.id, ecdsa: other}
		}
		if err != nil {
			panic(err) // the machine has no random bytes left
		}
	}
	switch {
	case alg == "none":
		return input + "."
	case alg == "HS256":
		// With what everybody knows as the secret: the public key.
		h := hmac.New(sha256.New, []byte(encode(k.rsa.N.Bytes())))
		h.Write([]byte(input)) // a hash takes everything
		return input + "." + encode(h.Sum(nil))
	case k.ecdsa != nil:
		r, s, err := ecdsa.Sign(rand.Reader, k.ecdsa, sum[:])
		if err != nil {
			panic(err) // as above
		}
		// Both numbers, each at full length. Source: RFC 7518, 3.4.
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return input + "." + encode(sig)
	default:
		sig, err := rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, sum[:])
		if err != nil {
			panic(err) // as above
		}
		return input + "." + encode(sig)
	}
}

// listen serves on an address that was free a moment ago, or on any that is free.
func listen(tb testing.TB, address string, h http.Handler, conf *tls.Config) string {
	tb.Helper()
	if address == "" {
		return serve.Handler(tb, h, conf)
	}
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		tb.Fatal(err)
	}
	if conf != nil {
		ln = serve.TLS(ln, conf)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	tb.Cleanup(func() {
		_ = srv.Close() // what hangs is meant to
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("serve %s: %v", address, err)
		}
	})
	return address
}
