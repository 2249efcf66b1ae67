"""The templates at work: an encoder's features, and a member in the ensemble."""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer

from hyperfusion import HyperFusionRegressor
from tests.templates.encoder import MarkCounts
from tests.templates.member import LogRidge


def test_member_learns_from_an_encoders_features_and_categories():
    posts = pd.DataFrame({"title": ["No", "Yes!", "Yes?!", "Why??"] * 20})
    encoder = make_column_transformer(
        (MarkCounts(), "title"), verbose_feature_names_out=False
    )
    table = encoder.set_output(transform="pandas").fit_transform(posts)
    table["weekday"] = pd.Categorical(["mon", "tue"] * 40)
    y = table["mark_63"].to_numpy() + 2 * (table["weekday"] == "tue").to_numpy()
    model = HyperFusionRegressor([LogRidge(alpha=1e-3)], cv=3, random_state=0)
    np.testing.assert_allclose(model.fit(table, y).predict(table), y, atol=0.2)
