"""What guess_roles makes of tables that hold one of each kind of column."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from hyperfusion import PostEncoder, guess_roles, make_posts
from hyperfusion.exceptions import InvalidInputError

N = 60
RNG = np.random.RandomState(0)


def jpeg():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "JPEG")
    return buffer.getvalue()


def several(*values):
    return RNG.choice(np.array(values, dtype=object), N)


COLUMNS = {
    # images
    ("photo", "image"): [f"photos/{i}.JPG" for i in range(N)],
    ("cover", "image"): [jpeg()] * 30 + [None] * 30,
    ("picture", "image"): [Image.new("RGB", (4, 4), (i, 0, 0)) for i in range(N)],
    ("frame", "image"): [np.full((4, 4, 3), i, np.uint8) for i in range(N)],
    # texts and tags
    ("title", "text"): [f"A nice green lamp, number {i}" for i in range(N)],
    ("colors", "tags"): [["red", "blue"][: i % 3] for i in range(N)],
    ("amenities", "tags"): several('["Wifi", "Hot water"]', '["TV"]'),
    ("hashtags", "tags"): several("#sea #sun", "#sun #sand #sea"),
    ("keywords", "tags"): [f"red lamp desk {i}" for i in range(N)],
    # users
    ("seller", "user"): several("ann", "bob", "cid"),
    ("Byline", "user"): several("Ann Poe", "Bob Fox", "Cid Ray"),
    ("handle", "user"): several("@ann", "@bob", "@cid"),
    ("wrote", "user"): several("By Ann Poe", "by Bob Fox"),
    ("UserId", "user"): RNG.randint(10**17, 2 * 10**17, N),
    ("followerCount", "user_numeric"): RNG.randint(0, 900, N),
    ("channel_video_count", "user_numeric"): RNG.randint(0, 900, N),
    ("host_since", "user_created"): pd.date_range("2012", periods=N).astype(str),
    ("channel_title", "user"): several("Cooking at Home", "News 5"),
    ("author.steamid", "user"): RNG.randint(0, 10**9, N) + 76_561_190_000_000_000,
    # times and places
    ("posted_at", "time"): pd.date_range("2024", periods=N),
    ("listed", "time"): 1_500_000_000 + 86_400 * np.arange(N) ** 2,
    ("published_year", "time"): RNG.randint(2006, 2015, N),
    ("timezone", "timezone"): several("+02:00", "Europe/Berlin"),
    ("lat", "latitude"): RNG.uniform(-90, 90, N),
    ("Longitude", "longitude"): RNG.uniform(-180, 180, N),
    ("city", "place"): several("Rome", "New York", "Lima"),
    # numbers and categories
    ("YearBuilt", "numeric"): RNG.randint(1900, 2020, N),
    ("weight", "numeric"): several("1.5", "12", "7"),
    ("duration", "numeric"): RNG.uniform(1, 600, N),
    ("total_phenols", "numeric"): RNG.uniform(1, 600, N),
    ("zipcode", "categorical"): RNG.randint(10_000, 10_010, N),
    ("area", "categorical"): several("01", "02", "10"),
    ("brand", "categorical"): several("Hay", "Vitra"),
    ("in_stock", "categorical"): RNG.rand(N) > 0.5,
    ("size", "categorical"): pd.Categorical(several("S", "M")),
    ("image_embedding", "vectors"): [RNG.rand(8) for _ in range(N)],
    ("e5", "vectors"): [RNG.rand(8).tolist() for _ in range(N)],
    # nothing to be used as it is
    ("sku", None): [f"B0{i:05d}X" for i in range(N)],
    ("order_id", None): RNG.permutation(10_000)[:N],
    ("row", None): np.arange(5, 5 + N),
    ("views", None): RNG.randint(0, 900, N),
    ("dislikes", None): RNG.randint(0, 900, N),
    ("number_of_reviews", None): RNG.randint(0, 900, N),
    ("pictures", None): [f'["http://example.org/{i}.jpeg"]' for i in range(N)],
    ("challenges", None): [[{"name": f"dance {i}"}] for i in range(N)],
    ("price", None): [f"${i}.50" for i in range(N)],
    ("sales", None): [f"1,0{i:02d}" for i in range(N)],
    ("day", None): pd.date_range("2024", periods=N).strftime("%d/%m/%Y"),
    ("image_url", None): [f"https://example.org/{i}.jpg?w=3" for i in range(N)],
    ("snippet.channelId", "user"): several("UC1", "UC2"),
    ("authorMeta.id", "user"): RNG.randint(0, 5, N) + 7_000_000_000_000_000_000,
    ("authors", "tags"): [["Ann B."], ["Ann B.", "Carl D."]] * (N // 2),
    ("Unnamed: 0", None): [*range(N - 1), 0],
    ("hashtags", None): [f"[{{'name': 'sun{i}'}}]" for i in range(N)],
    ("shareCount", None): RNG.randint(0, 90, N),
    ("size_m2", "numeric"): ["TBD", *map(str, range(100, 99 + N))],
    ("living_area", None): ["TBD", *(f"1,{i:03d}" for i in range(N - 1))],
    ("photos", "image"): [[], ["a.jpg", "b.jpg"]] * (N // 2),
    ("created", None): 43_383 + np.arange(N) / 7,
    ("posted", None): [f"2024-05-01 10:{i:02d} EST" for i in range(N)],
    ("post_time", "time"): (1_539_202_740 + 3600 * np.arange(N)).astype(str),
    ("date_taken", "time"): [f"2024:05:01 10:{i:02d}:00" for i in range(N)],
    ("caption", "text"): [f"at sea with {i} of my friends #sun #sea" for i in range(N)],
    ("id", None): ["1784140007", *(f"178414{i:04d}" for i in range(N - 1))],
    ("listed_price", "numeric"): np.linspace(30_000, 50_000, N),
    ("empty", None): [None] * N,
    ("blank", None): [" "] * N,
    ("constant", None): ["mp4"] * N,
}


@pytest.mark.parametrize(("name", "role"), COLUMNS)
def test_each_kind_of_column(name, role):
    guess = guess_roles(pd.DataFrame({name: COLUMNS[name, role]}))
    assert list(guess.roles) == ([role] if role else [])
    header, line, *_ = repr(guess).split("\n")
    assert header.split() == ["column", "role", "why"]
    assert line.startswith(name)
    assert len(line.split(None, 2)[2]) > 5  # a reason


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("price", "pd.to_numeric"),
        ("sales", "str.replace"),
        ("day", "dayfirst=True"),
        ("created", "days as spreadsheets count them"),
        ("posted", "offsets from UTC"),
        ("image_url", "download"),
        ("views", "grows after the post"),
    ],
)
def test_what_is_left_out_says_what_to_do(name, advice):
    guess = guess_roles(pd.DataFrame({name: COLUMNS[name, None]}))
    assert advice in guess.left_out[name]


def test_roles_of_drawn_posts_are_found_and_fit():
    posts = make_posts(200, random_state=0)
    guess = guess_roles(posts.data)
    for role, columns in posts.roles.items():
        if role not in ("vectors", "numeric"):
            assert set(np.ravel(columns)) >= set(np.ravel(guess.roles[role]))
    assert list(guess.roles["vectors"]) == ["user", "place"]
    assert guess.left_out == {"post_id": "row numbers"}
    encoder = PostEncoder(**guess.roles, image_encoder=False, text_encoder=False)
    assert len(encoder.fit_transform(posts.data, posts.target)) == 200


def test_a_role_of_one_column_goes_to_the_likeliest():
    table = pd.DataFrame(
        {
            "username": COLUMNS["seller", "user"],
            "user_id": COLUMNS["UserId", "user"],
            "last_seen": pd.date_range("2020", periods=N),
            "posted_at": pd.date_range("2021", periods=N),
            "country": several("IT", "PE"),
            "city": COLUMNS["city", "place"],
            "year": RNG.randint(1990, 2020, N),
        }
    )
    guess = guess_roles(table)
    assert guess.roles == {
        "user": "user_id",
        "time": "posted_at",
        "place": "city",
        "numeric": ["year"],
        "categorical": ["country"],
    }
    assert "user is already 'user_id'" in guess.left_out["username"]


def test_numbered_columns_are_a_vector_where_their_names_say_so():
    of = {"title_emb_": 6, "x": 6, "long_": 40}
    table = pd.DataFrame(
        {f"{stem}{i}": RNG.rand(N) for stem, n in of.items() for i in range(n)}
    )
    roles = guess_roles(table).roles
    assert roles["numeric"] == [f"x{i}" for i in range(6)]
    assert [len(group) for group in roles["vectors"]["text"]] == [6]
    assert [len(group) for group in roles["vectors"]["meta"]] == [40]


def test_the_call_can_be_pasted():
    table = pd.DataFrame({n: COLUMNS[n, r] for n, r in COLUMNS if r and n != "cover"})
    guess = guess_roles(table)
    assert eval(guess.call, {"make_hyperfusion": dict}) == guess.roles


def test_the_target_and_tables_of_other_libraries():
    table = pl.DataFrame({"likes": [3, 2], "v": [[1.0, 2.0], [3.0, 4.0]]})
    guess = guess_roles(table, target="likes")
    assert guess.roles == {"vectors": {"meta": ["v"]}}
    assert guess.left_out == {"likes": "the target"}
    with pytest.raises(InvalidInputError, match="target='like'"):
        guess_roles(table, target="like")
    with pytest.raises(InvalidInputError, match="DataFrame"):
        guess_roles([[1.0, 2.0]])
