package redisstore_test

import (
	"context"
	"log"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

func ExampleNew() {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:      []string{"redis.example.com:6379"},
		ConnWriteTimeout: 2 * time.Second, // also closes connections that stay silent for longer
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	store, err := redisstore.New(client, redisstore.Config{Prefix: "myservice:auth:"})
	if err != nil {
		log.Fatal(err)
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	defer bearer.Close(context.Background()) // before the client: Close writes pending last uses
}
