from ._posts import make_posts as make_posts
